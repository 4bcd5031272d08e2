import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from client.cli.main import main as site_command
from common.completion import SHELLS
from server.cli.main import main as server_command
from simulations.cli.main import main as sim_command
from tests.support.processes import ENVIRONMENT

COMMANDS = {
    "leukofed-site": site_command,
    "leukofed-server": server_command,
    "leukofed-sim": sim_command,
}


def completed(command: click.Group, *words: str) -> list[str]:
    """Return what completes the last word."""
    *before, last = words
    found = ShellComplete(command, {}, "x", "_X_COMPLETE").get_completions(list(before), last)
    return [item.value for item in found]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_calls_the_command_it_is_for(name: str, shell: str) -> None:
    done = CliRunner().invoke(COMMANDS[name], ["completion", shell], prog_name=name)
    assert done.exit_code == 0
    assert f"_{name.upper().replace('-', '_')}_COMPLETE={shell}_complete" in done.output
    assert f" {name}" in done.output


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_are_completed_without_importing_any(name: str) -> None:
    module, rooms = COMMANDS[name].callback.__module__, COMMANDS[name].rooms
    code = (
        f"import sys; from {module} import main\n"
        "from click.shell_completion import BashComplete\n"
        "found = BashComplete(main, {}, 'x', '_X_COMPLETE').get_completions([], 'r')\n"
        "print(*(item.value for item in found))\n"
        "print(sorted({'torch', 'numpy', 'flwr', 'pydantic', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, imported = done.stdout.splitlines()
    assert names.split() == sorted(n for n in rooms if n.startswith("r"))
    assert names
    assert imported == "[]"


def test_options_are_completed() -> None:
    assert completed(sim_command, "run", "--cache") == ["--cache", "--cache-gb"]
    assert completed(sim_command, "export", "run", "--to", "t") == ["tensorboard"]


def test_scenarios_are_completed_and_files_where_no_name_fits() -> None:
    assert completed(sim_command, "run", "") == ["synthetic", "taleqani-3-sites"]
    assert completed(sim_command, "sweep", "s") == ["synthetic"]
    assert completed(sim_command, "describe", "m.csv", "--scenario", "tal") == ["taleqani-3-sites"]
    (item,) = ShellComplete(sim_command, {}, "x", "_X").get_completions(["run"], "mine/s")
    assert (item.type, item.value) == ("file", "mine/s")


def test_runs_sites_and_studies_are_completed_from_the_partys_folder(tmp_path: Path) -> None:
    for folder in ("runs/trial-1", "runs/trial-2", "runs/other", "studies/all", "sites"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "runs" / "latest").symlink_to("trial-2")
    (tmp_path / "sites" / "north.yaml").touch()
    (tmp_path / "approved").mkdir()
    (tmp_path / "approved" / "trial-1-0123456789ab.yaml").touch()
    here = ("--federation", str(tmp_path))
    assert completed(server_command, "stop", *here, "t") == ["trial-1", "trial-2"]
    assert completed(server_command, "status", *here, "--run", "o") == ["other"]
    assert completed(server_command, "revoke", *here, "") == ["north"]
    assert completed(server_command, "launch", *here, "") == ["all"]
    assert completed(site_command, "withdraw", "--site", str(tmp_path), "") == ["trial-1"]
    nowhere = str(tmp_path / "nowhere")
    assert completed(server_command, "stop", "--federation", nowhere, "") == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_by_the_script() -> None:
    command = Path(sys.executable).parent / "leukofed-sim"
    if not command.exists():
        pytest.skip("leukofed-sim is not installed")
    lines = (
        'eval "$(leukofed-sim completion bash)"\n'
        "complete -p leukofed-sim\n"
        "COMP_WORDS=(leukofed-sim swe); COMP_CWORD=1\n"
        "_leukofed_sim_completion leukofed-sim\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", lines],
        capture_output=True,
        text=True,
        check=True,
        env={**ENVIRONMENT, "LC_ALL": "C"},
    )
    assert done.stdout.splitlines() == [
        "complete -o nosort -F _leukofed_sim_completion leukofed-sim",
        "sweep",
    ]
