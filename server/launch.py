"""The launch file: what the coordinator's own process is told of a run, besides the study."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from common.errors import ConfigError
from common.study.schema import SiteName
from common.study.strict import Strict
from common.yaml_file import load_yaml
from server.deadlines import Patience
from server.node_keys import NodeKey, node_key


def _checked(text: str) -> str:
    if node_key(text.encode()) is None:
        raise ValueError("this is no public key in OpenSSH or PEM form")
    return text


class Launch(Strict):
    """Where a run lies, with which key it signs, and who takes part."""

    run: Path
    """The run's folder; holds study.yaml, initial.safetensors and fronts.safetensors. Its name is
    the run's name at the sites, which answer each step of a run once."""
    key: Path
    """The coordinator's signing key."""
    sites: dict[SiteName, Annotated[str, AfterValidator(_checked)]]
    """The public key of each site's SuperNode, as it was registered."""
    synthetic: bool = False
    """Whether the images are generated; the report says so."""
    rehearse: bool = False
    """Whether the sites answer from generated images, apart from all real runs; a run's folder
    holds one kind only."""
    deadline_hours: float = Field(default=12.0, gt=0, le=1000)
    """How long an exchange waits for replies at most; so long while it is not known how long a
    site takes, or while the quorum has not answered."""
    deadline_factor: float = Field(default=4.0, ge=1, le=1000)
    """How many times as long as a site's slowest reply to the same work it is waited for."""
    deadline_floor_s: float = Field(default=300.0, ge=0, le=1e6)
    """How long it is waited for besides, in seconds."""
    grace_s: float = Field(default=180.0, ge=0, le=1e6)
    """How long it waits for sites that are away, once all others have answered, in seconds."""

    most_memory_gb: float = Field(default=32.0, ge=2)
    """Most address space of the ServerApp, in units of 10^9 bytes: a reply that would take more
    counts as unreadable, and the run goes on without it."""

    @property
    def patience(self) -> Patience:
        """How long an exchange waits."""
        return Patience(self.deadline_hours * 3600, self.deadline_factor, self.deadline_floor_s)

    @property
    def node_keys(self) -> dict[str, NodeKey]:
        """The sites' keys in one form."""
        found = {name: node_key(text.encode()) for name, text in self.sites.items()}
        return {name: key for name, key in found.items() if key is not None}


def load_launch(path: Path) -> Launch:
    """Read and check a launch file; relative paths in it start at its folder.

    Raises:
        ConfigError: as `common.yaml_file.load_yaml` says, or the run's folder is incomplete.
    """
    launch = load_yaml(path, Launch, fix="correct these keys")
    here = path.parent
    launch = launch.model_copy(update={"run": here / launch.run, "key": here / launch.key})
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,120}", launch.run.name):
        raise ConfigError(
            f"a run cannot be called {launch.run.name!r}",
            fix="give its folder a name of letters, digits, dots, hyphens and underscores",
            local_detail=str(launch.run),
        )
    needed = ("study.yaml", "initial.safetensors", "fronts.safetensors")
    absent = [name for name in needed if not (launch.run / name).is_file()]
    if absent:
        raise ConfigError(
            f"the run's folder lacks {', '.join(absent)}",
            fix="copy there what `leukofed-sim init-model STUDY` wrote",
            local_detail=str(launch.run),
        )
    return launch
