# The commands of this repository. Each installs what it needs into .venv by itself.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: simulate test check docs bench clean

simulate: $(INSTALLED)  ## run the federated simulation on embedded data; ends in a report
	$(BIN)/leukofed-sim run synthetic

test: $(INSTALLED) lint  ## lint, types, import rules, and every test
	$(BIN)/python -m pytest -n 2

check: $(INSTALLED) lint  ## the fast loop: as test, without the slow tests
	$(BIN)/python -m pytest -n 2 -m "not slow and not real"

.PHONY: lint
lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(INSTALLED)  ## write the generated manuals anew
	$(BIN)/python docs/generate.py

bench: $(INSTALLED)  ## ratios of speed and size, on this machine
	$(BIN)/python benchmarks/site_epoch.py
	$(BIN)/python benchmarks/traffic.py

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(INSTALLED)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
