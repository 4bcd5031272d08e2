import sys
import zipfile
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from py_compile import compile as compile_module

import pytest

from client.import_guard.finder import ImportGuard, stand
from client.import_guard.installation import (
    guard_files,
    installed_roots,
    put,
    site_packages,
    state,
    take_away,
)
from common.errors import ConfigError

Guarded = Callable[[Path], ImportGuard]


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> Guarded:
    """Stand a guard over one folder, for this test."""

    def over(root: Path) -> ImportGuard:
        monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
        stand((f"{root}/",))
        guard = sys.meta_path[0]
        assert isinstance(guard, ImportGuard)
        return guard

    return over


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refused(guard: ImportGuard, name: str, path: Sequence[object]) -> bool:
    told = f"site policy: module {name!r} is not from the installed environment"
    try:
        guard.find_spec(name, [str(place) for place in path])
    except ImportError as error:
        return (str(error), error.name, error.path) == (told, name, None)
    return False


def test_an_installed_module_is_found_where_it_lies(guarded: Guarded, root: Path) -> None:
    module = write(root / "ours.py")
    spec = guarded(root).find_spec("ours", [str(root)])
    assert spec is not None
    assert spec.origin == str(module)


def test_what_lies_elsewhere_is_refused_in_every_shape(guarded: Guarded, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    app = tmp_path / "app"
    write(app / "module.py")
    write(app / "package" / "__init__.py")
    write(app / "namespace" / "inner.py")
    write(app / "extension.so")
    compile_module(str(write(app / "compiled_source.py")), cfile=str(app / "compiled.pyc"))
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("zipped.py", "")
    guard = guarded(tmp_path / "root")
    for name in ("module", "package", "namespace", "extension", "compiled"):
        assert refused(guard, name, [app]), name
    assert refused(guard, "zipped", [tmp_path / "app.zip"])


def test_a_folder_is_not_inside_another_whose_name_it_continues(
    guarded: Guarded, root: Path
) -> None:
    write(root.with_name("rooted") / "module.py")
    assert refused(guarded(root), "module", [root.with_name("rooted")])


def test_links_count_where_they_lead(guarded: Guarded, root: Path, tmp_path: Path) -> None:
    write(root / "ours.py")
    write(tmp_path / "app" / "theirs.py")
    (root / "linked.py").symlink_to(tmp_path / "app" / "theirs.py")
    (root / "folder").symlink_to(tmp_path / "app")
    (tmp_path / "installed").symlink_to(root)
    guard = guarded(root)
    assert refused(guard, "linked", [root])
    assert refused(guard, "theirs", [root / "folder"])
    assert not refused(guard, "ours", [tmp_path / "installed"])


def test_a_path_that_leads_in_by_dots_is_refused(guarded: Guarded, root: Path) -> None:
    write(root / "app" / "theirs.py")
    assert refused(guarded(root), "theirs", [f"{root}/../root/app"])


def test_a_relative_path_counts_from_here(
    guarded: Guarded, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root / "ours.py")
    write(tmp_path / "app" / "theirs.py")
    monkeypatch.chdir(tmp_path)
    guard = guarded(root)
    assert refused(guard, "theirs", ["app"])
    assert not refused(guard, "ours", ["root"])


def test_one_folder_of_a_namespace_elsewhere_is_enough(
    guarded: Guarded, root: Path, tmp_path: Path
) -> None:
    write(root / "shared" / "ours.py")
    write(tmp_path / "app" / "shared" / "theirs.py")
    guard = guarded(root)
    assert not refused(guard, "shared", [root])
    assert refused(guard, "shared", [root, tmp_path / "app"])


def test_modules_without_files_pass(guarded: Guarded, root: Path) -> None:
    class Maker:
        def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec:
            return ModuleSpec(name, None, origin="made of nothing")

    guard = guarded(root)
    for name in ("sys", "zipimport"):
        assert guard.find_spec(name) is not None
    sys.meta_path.append(Maker())
    assert guard.find_spec("made", [str(root)]) is not None


def test_what_is_nowhere_is_left_to_others(guarded: Guarded, root: Path) -> None:
    assert guarded(root).find_spec("absent", [str(root)]) is None


def test_a_guard_that_was_taken_out_finds_nothing(guarded: Guarded, root: Path) -> None:
    guard = guarded(root)
    sys.meta_path.remove(guard)
    with pytest.raises(ValueError):
        guard.find_spec("anything", [str(root)])


def test_the_roots_hold_our_packages_and_not_the_checkout(tmp_path: Path) -> None:
    roots = installed_roots()
    assert all(root.endswith("/") for root in roots)
    checkout = Path(__file__).parents[2]
    assert f"{checkout}/client/" in roots
    assert not [root for root in roots if f"{checkout}/tests/".startswith(root)]
    assert not f"{sys.prefix}/apps/".startswith(roots)


def test_the_files_are_compared_byte_by_byte(tmp_path: Path) -> None:
    files = guard_files(("/usr/lib/python3/",))
    assert state(tmp_path, files) == "absent"
    put(tmp_path, files)
    assert state(tmp_path, files) == "whole"
    assert state(tmp_path, guard_files(("/usr/lib/",))) == "altered"
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}
    (tmp_path / "leukofed_import_guard.pth").write_text("")
    assert state(tmp_path, files) == "altered"
    take_away(tmp_path)
    take_away(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_operators_error(tmp_path: Path) -> None:
    blocked = write(tmp_path / "file") / "site-packages"
    with pytest.raises(ConfigError, match="may not change the environment"):
        put(blocked, guard_files(()))


def test_only_a_virtual_environment_is_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    with pytest.raises(ConfigError, match="virtual environment"):
        site_packages()
