import json
import subprocess
import sys
from pathlib import Path

import pytest

from client.worker import reachable_networks
from tests.support.processes import ROOT
from tests.support.walls import can_wall

_TRIED = """\
ip link add down0 type dummy || ip link add down0 type veth peer name down1 || exit 3
"$@"
ip link set down0 up
"$@"
"""
_CODE = "import json; from client.worker import reachable_networks as r; print(json.dumps(r()))"


@pytest.mark.skipif(not Path("/sys/class/net").is_dir(), reason="needs Linux")
def test_the_interfaces_that_are_up_are_listed() -> None:
    up = {
        path.name
        for path in Path("/sys/class/net").iterdir()
        if int((path / "flags").read_text(), 16) & 1
    }
    assert set(reachable_networks()) == up - {"lo"}


def test_in_a_namespace_of_its_own_one_that_is_down_is_not_listed() -> None:
    if not can_wall():
        pytest.skip("only root can take the network away from a process")
    command = ["unshare", "--net", "sh", "-c", _TRIED, "sh", sys.executable, "-c", _CODE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode in (3, 127):
        pytest.skip(f"no interface can be made here: {done.stderr}")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [[], ["down0"]], done.stderr
