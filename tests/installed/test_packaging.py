"""What each party gets when it installs the package."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
ABSENT = ("torch", "torchvision", "timm", "opacus", "cv2", "flwr_datasets", "pandas", "pyarrow")
# Every room of the coordinator, imported where what only others install cannot be.
COORDINATOR = f"""
import pkgutil, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import server
for room in pkgutil.walk_packages(server.__path__, "server."):
    __import__(room.name)
from server.cli.main import main
main(["study", sys.argv[1]], standalone_mode=False)
print("MODULES", *sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(requirements: list[str]) -> set[str]:
    """Follow requirements to all that is installed with them."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        wanted = waiting.pop()
        extras = wanted.extras or {""}
        if wanted.marker and not any(wanted.marker.evaluate({"extra": e}) for e in extras):
            continue
        if normal(wanted.name) not in found:
            found.add(normal(wanted.name))
            with suppress(PackageNotFoundError):  # for another platform
                waiting += [Requirement(text) for text in distribution(wanted.name).requires or ()
                            if "extra ==" not in text]  # fmt: skip
    return found


def test_the_coordinator_needs_no_torch_and_nothing_beyond_the_base_install() -> None:
    study = ROOT / "configs" / "studies" / "xincept-all.yaml"
    done = subprocess.run(
        [sys.executable, "-c", COORDINATOR, str(study)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("# digest: ")
    modules = set(done.stdout.rpartition("MODULES ")[2].split()) - set(sys.stdlib_module_names)
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    base = closure(declared) | {"leukofed"}
    providers = packages_distributions()
    beyond = {
        name
        for name in modules & providers.keys()
        if not base & {normal(provider) for provider in providers[name]}
    }
    # What a development install adds to every Python process by itself; and grpc imports
    # grpc_tools, where it is installed, to offer to compile protocols at run time.
    assert beyond <= {"_distutils_hack", "setuptools", "grpc_tools"}


def test_the_three_packages_are_ours_alone() -> None:
    providers = packages_distributions()
    for name in ("server", "client", "common"):
        assert set(providers.get(name, ["leukofed"])) == {"leukofed"}


@pytest.mark.slow
def test_the_wheel_holds_code_configurations_weights_and_the_page(tmp_path: Path) -> None:
    source = tmp_path / "source"  # a copy: a build leaves files behind that later builds take in
    for folder in (
        "client", "common", "configs", "deploy", "server", "simulations", "tests", "docs",
    ):  # fmt: skip
        shutil.copytree(ROOT / folder, source / folder, symlinks=True)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir",
         str(tmp_path), str(source)], check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("leukofed-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, suffixes in (
        ("configs", (".yaml", ".safetensors")),
        ("server/report", (".css", ".j2")),
        ("client/pack", (".css", ".j2")),
        ("server/flower-app", (".toml", ".md")),  # a link to deploy/flower-app
        *((party, (".py",)) for party in ("client", "common", "server", "simulations")),
    ):
        tracked = [p for p in (ROOT / folder).rglob("*") if p.suffix in suffixes]
        assert tracked
        assert {p.relative_to(ROOT).as_posix() for p in tracked} <= names
    assert not [
        name for name in names if name.startswith(("tests/", "docs/", "benchmarks/", "deploy/"))
    ]
