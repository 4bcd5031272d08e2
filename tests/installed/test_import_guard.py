"""The guard in a real environment, against Flower's own way of unpacking and loading an app."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REFUSAL = "site policy: module {!r} is not from the installed environment"
COMMAND = "from client.cli.main import main; main()"
# What flwr-clientapp does with the app that a coordinator sent.
FLOWER = """
import json, sys
from hashlib import sha256
from flwr.cli.build import build_fab_from_files
from flwr.cli.install import install_from_fab
from flwr.clientapp.utils import get_load_client_app_fn
version, files = json.loads(sys.argv[1])
fab, _ = build_fab_from_files({name: text.encode() for name, text in files.items()})
install_from_fab(fab, skip_prompt=True)
load = get_load_client_app_fn(default_app_ref="", app_path=None, multi_app=True)
print(type(load("lab/app", version, sha256(fab).hexdigest())).__name__)
print(sys.modules["client.app"].__file__)
"""
APP = """
[project]
name = "app"
version = "{version}"
license = "Apache-2.0"
dependencies = ["flwr"]
[tool.flwr.app]
publisher = "lab"
[tool.flwr.app.components]
serverapp = "server.app:app"
clientapp = "{reference}"
"""
CLIENT_APP = "from flwr.clientapp import ClientApp\nprint('RAN')\napp = ClientApp()\n"


class Environment:
    """A virtual environment that borrows this one's packages, and a folder to work in."""

    def __init__(self, home: Path) -> None:
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", "--symlinks", home / "venv"], check=True
        )
        self.python = home / "venv" / "bin" / "python"
        (self.packages,) = (home / "venv").glob("lib/python*/site-packages")
        borrowed = sysconfig.get_path("purelib")
        (self.packages / "_borrowed.pth").write_text(f"{ROOT}\n{borrowed}\n")
        self.away = home / "away"
        self.away.mkdir()

    def run(
        self, *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        inherited = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [self.python, *map(str, arguments)], cwd=cwd or self.away, capture_output=True,
            text=True, env=inherited | dict(env or {}),
        )  # fmt: skip

    def guard(self, command: str) -> subprocess.CompletedProcess[str]:
        return self.run("-c", COMMAND, "guard", command)

    def imports(self, name: str, entry: object, cwd: Path | None = None) -> str:
        """Import a module with a folder first on the path; return what a person would see."""
        code = f"import sys; sys.path.insert(0, {str(entry)!r}); import {name}; print({name})"
        done = self.run("-c", code, cwd=cwd)
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = Environment(tmp_path_factory.mktemp("guarded"))
    done = environment.guard("install")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Installed in {environment.packages}\n")
    return environment


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder such as Flower unpacks, with a package of our name and more."""
    folder = tmp_path_factory.mktemp("app")
    for name in ("client/__init__.py", "client/app.py", "evil.py", "sitecustomize.py",
                 "space/inner.py", "other/client/extra.py"):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("print('RAN')\n")
    return folder


def test_status_tells_what_is_there_and_remove_takes_it_out(bare: Environment) -> None:
    absent = bare.guard("status")
    assert (absent.returncode, "is not installed" in absent.stderr) == (1, True)
    assert bare.guard("install").returncode == 0
    assert bare.guard("install").stdout.startswith("Was installed already in ")

    whole = bare.guard("status")
    assert whole.returncode == 0
    assert whole.stdout.count("refused: an app with") == 3

    module = bare.packages / "leukofed_import_guard.py"
    module.write_text(module.read_text().replace("raise ImportError", "ImportError"))
    altered = bare.guard("status")
    assert (altered.returncode, "was altered" in altered.stderr) == (1, True)
    assert bare.guard("install").stdout.startswith("Replaced in ")
    assert bare.guard("status").returncode == 0

    assert bare.guard("remove").stdout.startswith("Removed in ")
    assert bare.guard("remove").stdout.startswith("Nothing to remove in ")
    assert not list(bare.packages.rglob("leukofed*"))


def test_a_guard_that_does_not_work_is_found_out(bare: Environment) -> None:
    """Another line, run before it, has Python think that the guard is loaded."""
    bare.guard("install")
    spoiler = bare.packages / "_spoiler.pth"
    spoiler.write_text("import sys; sys.modules['leukofed_import_guard'] = sys\n")
    try:
        done = bare.guard("status")
    finally:
        spoiler.unlink()
        bare.guard("remove")
    assert (done.returncode, "does not work" in done.stderr) == (1, True)


def test_a_guard_that_would_refuse_what_a_site_needs_is_taken_out(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    # Packages in a folder that its name does not tell.
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "numpy.py").touch()
    borrowed = environment.packages / "_borrowed.pth"
    borrowed.write_text(f"{shelf}\n{borrowed.read_text()}")
    done = environment.guard("install")
    assert (done.returncode, "taken out again" in done.stderr) == (1, True)
    assert f"numpy: ImportError: {REFUSAL.format('numpy')}" in done.stderr
    assert not list(environment.packages.glob("leukofed*"))


def test_a_guard_under_which_python_does_not_start_is_taken_out(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    line = "import sys; 'leukofed_import_guard' in sys.modules and sys.exit('broken')\n"
    (environment.packages / "z.pth").write_text(line)  # read after the guard's
    done = environment.guard("install")
    assert (done.returncode, "taken out again" in done.stderr) == (1, True)
    assert "SystemExit: broken" in done.stderr
    assert environment.run("-c", "").returncode == 0


@pytest.mark.parametrize("name", ["client.app", "evil", "space", "space.inner"])
def test_what_lies_first_on_the_path_is_refused(guarded: Environment, app: Path, name: str) -> None:
    refusal = REFUSAL.format(name.partition(".")[0])
    seen = guarded.imports(name, app)
    assert refusal in seen
    assert "RAN" not in seen
    relative = guarded.imports(name, app.name, cwd=app.parent)
    assert refusal in relative
    assert refusal in guarded.imports(name, "", cwd=app)


def test_without_the_guard_it_would_run(bare: Environment, app: Path) -> None:
    for name in ("client.app", "evil", "space.inner"):
        assert "RAN" in bare.imports(name, app)


def test_installed_code_runs_as_before(guarded: Environment, tmp_path: Path) -> None:
    for name in ("client.app", "common.wire", "numpy", "flwr.clientapp"):
        assert f"<module '{name.partition('.')[0]}" in guarded.imports(name, tmp_path)
    assert guarded.run("-m", "pip", "--version").returncode == 0
    assert guarded.run("-m", "pytest", "--version").returncode == 0


@pytest.mark.slow
def test_what_trains_loads_as_before(guarded: Environment, tmp_path: Path) -> None:
    code = "import client.phases, cv2, distutils.core, opacus, sklearn, timm, torch, xgboost"
    done = guarded.run("-W", "ignore", "-c", code)
    assert done.returncode == 0, done.stderr


def test_a_module_run_from_its_folder_is_refused(guarded: Environment, app: Path) -> None:
    for name in ("evil", "client.app"):
        done = guarded.run("-m", name, cwd=app)
        assert done.returncode == 1
        assert REFUSAL.format(name.partition(".")[0]) in done.stderr
        assert "RAN" not in done.stdout


def test_a_folder_of_the_environment_variable_is_refused(guarded: Environment, app: Path) -> None:
    done = guarded.run("-c", "import evil", env={"PYTHONPATH": str(app)})
    assert REFUSAL.format("evil") in done.stderr
    assert "RAN" not in done.stdout  # its sitecustomize neither


def test_a_package_that_was_extended_has_no_more_modules(guarded: Environment, app: Path) -> None:
    place = str(app / "other" / "client")
    code = f"import client; client.__path__.append({place!r}); import client.extra"
    done = guarded.run("-c", code)
    assert REFUSAL.format("client.extra") in done.stderr
    assert "RAN" not in done.stdout


def load_as_flower(
    environment: Environment,
    home: Path,
    reference: str = "client.app:app",
    *brought: str,
    version: str = "0.1.0",
) -> str:
    """Unpack and load an app that names `reference` and brings modules; return what is seen."""
    files = {
        "pyproject.toml": APP.format(reference=reference, version=version),
        "README.md": "an app",
        **dict.fromkeys(brought, CLIENT_APP),
    }
    done = environment.run(
        "-c", FLOWER, json.dumps([version, files]),
        env={"FLWR_HOME": str(home), "FLWR_TELEMETRY_ENABLED": "0"},
    )  # fmt: skip
    return (done.stdout + done.stderr).strip()


@pytest.mark.slow
def test_flower_loads_an_app_that_names_installed_code(
    guarded: Environment, tmp_path: Path
) -> None:
    seen = load_as_flower(guarded, tmp_path)
    assert seen.endswith(f"ClientApp\n{ROOT / 'client' / 'app.py'}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reference", "brought", "name"),
    [
        ("evil:app", ("evil.py",), "evil"),
        ("client.app:app", ("client/__init__.py", "client/app.py"), "client"),
    ],
)
def test_flower_cannot_load_an_apps_own_code(
    bare: Environment,
    guarded: Environment,
    tmp_path: Path,
    reference: str,
    brought: tuple[str, ...],
    name: str,
) -> None:
    assert "RAN" in load_as_flower(bare, tmp_path / "bare", reference, *brought)
    seen = load_as_flower(guarded, tmp_path / "guarded", reference, *brought)
    assert seen.endswith(f"ImportError: {REFUSAL.format(name)}")
    assert "RAN" not in seen.splitlines()


@pytest.mark.slow
def test_an_app_that_has_itself_unpacked_among_the_packages_is_refused(
    guarded: Environment, tmp_path: Path
) -> None:
    """Flower 1.41 makes a folder's name of the version, and an app may write `..` in it."""
    home = tmp_path / "flower"
    named = home / "apps" / "lab.app.0.1.0"
    way = os.path.relpath(guarded.packages / "unpacked", named)
    seen = load_as_flower(guarded, home, "evil:app", "evil.py", version=f"0.1.0/{way}")
    assert list(guarded.packages.glob("unpacked.*/evil.py")), "Flower does so no more"
    assert seen.endswith(f"ImportError: {REFUSAL.format('evil')}")
