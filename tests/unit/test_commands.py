import csv
import io
import json
import subprocess
import sys
from base64 import urlsafe_b64encode
from hashlib import sha256
from importlib.metadata import Distribution, version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from client.cli.main import main as site_command
from client.egress.door import Door
from client.site_config import Limits
from common.commands import PACKAGES, LazyGroup, check_installation, check_packages, plain_errors
from common.errors import ConfigError, DataError
from common.study.schema import Study, load_study
from server.cli.main import main as server_command
from simulations.cli.main import main as sim_command
from tests.support.exchanges import STUDY, refusal, reply, request

COMMANDS = {
    "leukofed-site": site_command,
    "leukofed-server": server_command,
    "leukofed-sim": sim_command,
}
STUDY_TEXT = "name: trial\nsites: [a]\nquorum: 1\nlabels: {name: two, classes: [x, y]}\n"


def call(command: click.Command, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(one) for one in arguments])


@click.command()
@plain_errors
def fail() -> None:
    raise DataError("3 of 9 images are unreadable", fix="repair them", local_detail="line 7: x.png")


@click.command()
@plain_errors
def crash() -> None:
    raise KeyError("a bug")


def test_an_operators_error_is_shown_in_full_without_a_traceback() -> None:
    result = call(fail)
    assert result.exit_code == 1
    assert result.output == (
        "Error: 3 of 9 images are unreadable\n  To fix: repair them\n  Detail: line 7: x.png\n"
    )


def test_a_bug_keeps_its_traceback() -> None:
    assert isinstance(call(crash).exception, KeyError)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_version_is_the_distributions(name: str) -> None:
    assert call(COMMANDS[name], "--version").output == f"{name}, version {version('leukofed')}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_usage_exits_with_2(name: str) -> None:
    assert call(COMMANDS[name], "no-such-command").exit_code == 2
    assert call(COMMANDS[name], "--no-such-option").exit_code == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_listed_exists_and_says_what_its_help_says(name: str) -> None:
    waiting: list[click.Group] = [COMMANDS[name]]
    while waiting:
        group = waiting.pop()
        context = click.Context(group)
        listing = call(group, "--help").output
        for below in group.list_commands(context):
            command = group.get_command(context, below)
            assert command is not None
            assert command.name == below
            assert below in listing
            assert call(group, below, "--help").exit_code == 0
            assert "Example" in call(group, below, "--help").output
            waiting += [command] if isinstance(command, click.Group) else []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_costs_no_torch(name: str) -> None:
    module = COMMANDS[name].callback.__module__
    code = (
        f"import sys; from {module} import main\n"
        "try: main(['--help'])\n"
        "except SystemExit:\n"
        "    print(sorted({'torch', 'numpy', 'flwr', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_lazy_group_imports_a_command_only_to_call_it() -> None:
    group = LazyGroup(rooms={"absent": ("no.such.module:absent", "Is not there.")})
    assert "absent  Is not there." in call(group, "--help").output
    assert isinstance(call(group, "absent").exception, ModuleNotFoundError)


def told_of(folder: Path) -> list[str]:
    return [f"{folder.name} ends soon"]


@click.command()
@click.option("--site", type=click.Path(path_type=Path))
def with_folder(site: Path | None) -> None:
    """Work on a folder."""
    click.echo(f"at {site}")


@click.command()
def without_folder() -> None:
    """Work on none."""
    click.echo("at work")


def test_whoever_works_on_a_folder_is_told_first_what_is_to_be_told_of_it() -> None:
    here = __name__
    group = LazyGroup(
        rooms={name: (f"{here}:{name}", "") for name in ("with_folder", "without_folder")},
        notices=("site", f"{here}:told_of"),
    )
    for _ in range(2):  # once each time, however often the command was looked up
        result = call(group, "with_folder", "--site", "north")
        assert (result.stdout, result.stderr) == ("at north\n", "Warning: north ends soon\n")
    for words in (("with_folder",), ("without_folder",)):
        assert call(group, *words).stderr == ""


def test_this_installation_is_whole() -> None:
    check_installation()


class Wheel(Distribution):
    """An unpacked wheel, as pip records it."""

    def __init__(self, home: Path) -> None:
        table = io.StringIO()
        for name in PACKAGES:
            path = home / name / "__init__.py"
            path.parent.mkdir(parents=True)
            path.write_text(f'"""{name}, ours."""')
            digest = urlsafe_b64encode(sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
            csv.writer(table).writerow([f"{name}/__init__.py", f"sha256={digest}", "1"])
        self.home = home
        self.record = table.getvalue()

    def read_text(self, filename: str) -> str | None:
        return self.record if filename == "RECORD" else None

    def locate_file(self, path: object) -> Path:
        return self.home / str(path)


def origins(home: Path) -> dict[str, Path | None]:
    return {name: home / name / "__init__.py" for name in PACKAGES}


def test_a_whole_wheel_passes(tmp_path: Path) -> None:
    check_packages(Wheel(tmp_path), origins(tmp_path))


def test_a_package_that_another_distribution_overwrote_is_named(tmp_path: Path) -> None:
    wheel = Wheel(tmp_path)
    (tmp_path / "common" / "__init__.py").write_text('"""Somebody else\'s."""')
    with pytest.raises(ConfigError, match="the packages common are not from one") as error:
        check_packages(wheel, origins(tmp_path))
    assert str(tmp_path) in error.value.local_detail


def test_a_package_that_is_imported_from_elsewhere_is_found(tmp_path: Path) -> None:
    wheel = Wheel(tmp_path / "ours")
    Wheel(tmp_path / "theirs")
    mixed = origins(tmp_path / "ours") | {"client": tmp_path / "theirs/client/__init__.py"}
    with pytest.raises(ConfigError, match="not from one leukofed installation"):
        check_packages(wheel, mixed)


def test_a_missing_package_is_found(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the packages server are not"):
        check_packages(Wheel(tmp_path), origins(tmp_path) | {"server": None})


def test_study_prints_what_is_itself_the_study(tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text(STUDY_TEXT)
    result = call(server_command, "study", tmp_path / "short.yaml")
    assert result.exit_code == 0
    (tmp_path / "full.yaml").write_text(result.output)
    digest = load_study(tmp_path / "short.yaml").digest
    assert load_study(tmp_path / "full.yaml").digest == digest
    assert result.output.startswith(f"# digest: {digest}\n")


def test_study_prints_its_schema() -> None:
    output = call(server_command, "study", "--schema").output
    assert json.loads(output) == Study.model_json_schema()


def test_study_tells_an_operators_mistakes_apart(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(STUDY_TEXT + "seeds: 1\n")
    wrong = call(server_command, "study", tmp_path / "wrong.yaml")
    assert (wrong.exit_code, "line 5: seeds" in wrong.output) == (1, True)
    assert call(server_command, "study", tmp_path / "absent.yaml").exit_code == 1
    assert call(server_command, "study").exit_code == 2


@pytest.fixture
def site_file(tmp_path: Path) -> Path:
    (tmp_path / "site.yaml").write_text(
        "name: north\nimages: {manifest: m.csv}\nstate: state\ncache: {folder: cache}\n"
    )
    return tmp_path / "site.yaml"


def test_log_shows_each_reply_that_left(site_file: Path, tmp_path: Path) -> None:
    assert call(site_command, "log", "--site-file", site_file).output == (
        "Nothing has left this site.\n"
    )
    door = Door(tmp_path / "state", "north", Limits())
    asked, other = request(exchange=2), request(study="e" * 64, round=3)
    door.release(asked, reply(asked))
    door.turn_away(other, refusal(other, "too late"), "ward 7")

    head, done, refused, reason = call(
        site_command, "log", "--site-file", site_file
    ).output.splitlines()
    assert head.split()[2:7] == ["run", "phase", "round", "asked", "answer"]
    assert done.split()[2:10] == [
        "run-1", "booster", "1.2", "booster", "done", "1", "int64", "12"
    ]  # fmt: skip
    assert [line.split()[0] for line in (head, done, refused)] == ["line", "1", "2"]
    assert refused.split()[4:8] == ["3", "booster", "refused", "-"]
    assert reason.strip() == "too late ward 7"

    one = call(site_command, "log", "--site-file", site_file, "--study", STUDY.digest[:9], "--json")
    (line,) = one.output.splitlines()
    assert line.encode() == (tmp_path / "state" / "egress.jsonl").read_bytes().split(b"\n")[0]
    assert json.loads(line)["told"] == {"kind": "booster", "examples": 7}


def test_a_cut_table_of_a_damaged_log_is_an_error(site_file: Path, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "egress.jsonl").write_text("{}\n")
    result = call(site_command, "log", "--site-file", site_file)
    assert (result.exit_code, "line 1 of the egress log" in result.output) == (1, True)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for name in ("Benign/p1/1.png", "Benign/p2/2.png", "Early/p3/3.png", "Early/notes.txt"):
        path = tmp_path / "smears" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "smears"


def test_manifest_lists_the_images_of_class_folders(folders: Path) -> None:
    result = call(site_command, "manifest", folders, "--subfolder", "patient")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()] == [
        "Layout:", "2", "1", "1", "Written"
    ]  # fmt: skip
    with (folders / "manifest.csv").open() as file:
        assert [tuple(row.values()) for row in csv.DictReader(file)] == [
            ("Benign/p1/1.png", "Benign", "p1"),
            ("Benign/p2/2.png", "Benign", "p2"),
            ("Early/p3/3.png", "Early", "p3"),
        ]


def test_manifest_overwrites_nothing(folders: Path) -> None:
    out = folders.parent / "mine.csv"
    assert call(site_command, "manifest", folders, "--out", out).exit_code == 0
    text = out.read_text()
    again = call(site_command, "manifest", folders, "--out", out)
    assert (again.exit_code, out.read_text()) == (1, text)
    assert "exists already" in again.output


def test_manifest_of_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert call(site_command, "manifest", tmp_path / "absent").exit_code == 1


def test_predict_wants_a_release_and_images(tmp_path: Path) -> None:
    assert call(site_command, "predict", "--out", tmp_path / "x.csv", tmp_path).exit_code == 2
    assert call(site_command, "predict", "--release", tmp_path, "--out", "x.csv").exit_code == 2
