# The commands of this repository. Each installs what it needs into .venv by itself.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
SCENARIO ?= $(if $(DATA),taleqani-3-sites,synthetic)
# Two processes, each with one thread: they would fight for the cores with more. One that is done
# takes over from the other, whose slow tests may all stand in a row.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: simulate federation test faults check docs proto bench clean

simulate: $(INSTALLED)  ## run the federated simulation on embedded data; ends in a report
	$(BIN)/leukofed-sim run synthetic

federation: $(INSTALLED)  ## the same as real processes, over TLS; DATA=DIR WEIGHTS=DIR: real smears
	$(BIN)/python -m tests.support.run_federation $(SCENARIO) \
	  $(if $(DATA),--data $(DATA)) $(if $(WEIGHTS),--weights $(WEIGHTS))

test: $(INSTALLED) lint packages  ## lint, types, import rules, and every test
	$(PYTEST)

faults: $(INSTALLED)  ## whole runs with every kind of fault, one after another: up to an hour
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m faults -s

check: $(INSTALLED) lint  ## the fast loop: as test, without the slow tests
	$(PYTEST) -m "not slow and not real and not faults"

.PHONY: packages
packages:  # tests use Chromium, nginx and systemd-analyze; those that lack them skip, and say so
	@PATH=$$PATH:/usr/sbin; needed=$$(for one in chromium:chromium nginx:nginx systemd-analyze:systemd; do \
	  command -v $${one%:*} >/dev/null || echo $${one#*:}; done); \
	if [ -n "$$needed" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  (apt-get update && apt-get install -y --no-install-recommends $$needed) >/dev/null 2>&1 \
	  || echo "could not be installed:" $$needed; \
	fi

.PHONY: lint
lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(INSTALLED)  ## write the generated manuals anew
	$(BIN)/python -m docs.generate

proto: $(INSTALLED)  ## write the code of the worker's protocol anew
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. common/worker.proto

# Each program enters what it measures into benchmarks/results.json, of which `make docs` makes the
# tables of docs/performance.md. One alone: make bench-booster.
BENCH := front site_epoch booster aggregation overhead growth where_time_goes traffic \
  preparation_speed images server_memory slow_network
REAL = $(if $(DATA),--data $(DATA)) $(if $(WEIGHTS),--weights $(WEIGHTS))
PROFILED := runs/profiled

bench: $(BENCH:%=bench-%)  ## speed and size on this machine; DATA=DIR WEIGHTS=DIR: real smears, too

bench-site_epoch: OPTIONS = $(REAL)
bench-overhead: OPTIONS = --scenario $(SCENARIO) $(REAL)
bench-where_time_goes: OPTIONS = --scenario $(SCENARIO) $(REAL) --keep $(PROFILED) \
  --picture docs/profile.svg
bench-traffic: OPTIONS = $(PROFILED)/runs/latest
bench-%: $(INSTALLED)
	$(BIN)/python -m benchmarks.$* $(OPTIONS) --results benchmarks/results.json

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(INSTALLED)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
