"""The coordinator's folder: what belongs to a federation, and where it lies."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import Field

from common.errors import ConfigError
from common.kit import Line, Lines
from common.study.strict import Strict
from common.yaml_file import load_yaml

Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(Strict):
    """`federation.yaml`: what the coordinator decides about the federation, not about a study."""

    name: str = Field(pattern=r"^[a-z0-9-]{1,40}$")
    """Lower-case letters, digits and hyphens."""
    hosts: tuple[str, ...] = Field(min_length=1)
    """Names and addresses by which sites reach the front; sites dial the first."""
    port: Port = 8443
    """Where the front listens for sites."""
    link_port: Port = 8000
    """Where the SuperLink listens, on the loopback only."""
    database_mb: int = Field(default=1000, ge=10)
    """How large the SuperLink's database may be, in MB, before it is made smaller between runs."""
    contact: Line = ""
    """Whom a hospital calls."""
    terms: Lines = ""
    """What the parties agreed on, in a sentence or two; stands in every kit."""

    @property
    def address(self) -> str:
        """Where sites connect to, `HOST:PORT`."""
        host = self.hosts[0]
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


@dataclass(frozen=True)
class Federation:
    """A federation's folder; `leukofed-server init` makes it, and its owner alone may read it."""

    path: Path

    @cached_property
    def settings(self) -> Settings:
        """The settings.

        Raises:
            ConfigError: the folder holds no federation, or `federation.yaml` breaks the schema.
        """
        file = self.path / "federation.yaml"
        if not file.is_file():
            raise ConfigError(
                "this folder holds no federation",
                fix="name the federation's folder with --federation, or make one with "
                "`leukofed-server init`",
                local_detail=str(self.path),
            )
        return load_yaml(file, Settings, fix="correct these keys; see docs/federation.md")

    @property
    def authority(self) -> Path:
        """The federation's root certificate, which every kit holds; its key is `ca.key` beside."""
        return self.path / "tls" / "ca.crt"

    @property
    def front_certificate(self) -> Path:
        """The front's certificate, for the settings' hosts; its key is `front.key` beside."""
        return self.path / "tls" / "front.crt"

    @property
    def link_certificate(self) -> Path:
        """The SuperLink's certificate, for the loopback; its key is `link.key` beside."""
        return self.path / "tls" / "link.crt"

    @property
    def signing_key(self) -> Path:
        """The key that signs studies, requests and kits."""
        return self.path / "signing.pem"

    @property
    def sites(self) -> Path:
        """Folder of admitted sites, `NAME.yaml`."""
        return self.path / "sites"

    @property
    def kits(self) -> Path:
        """Folder of the kits that were written, `NAME.kit.yaml`."""
        return self.path / "kits"

    @property
    def studies(self) -> Path:
        """Folder of proposed studies; each a folder that `leukofed-sim init-model` wrote."""
        return self.path / "studies"

    @property
    def runs(self) -> Path:
        """Folder of runs."""
        return self.path / "runs"

    @property
    def flower_home(self) -> Path:
        """Flower's own folder (`FLWR_HOME`); its `config.toml` names the SuperLink."""
        return self.path / "flower"

    @property
    def database(self) -> Path:
        """The SuperLink's database."""
        return self.flower_home / "state.db"

    @property
    def front(self) -> Path:
        """Folder of the front's configuration, pid and logs."""
        return self.path / "front"

    @property
    def logs(self) -> Path:
        """Folder of the logs of what `leukofed-server start` runs."""
        return self.path / "logs"
