"""A hospital's folder: its two processes' files, and which of the two users each belongs to.

```text
SITE/              the worker's, its group may enter
  site.yaml        what the hospital decides (client.site_config)
  approved/        signed studies that the hospital approved
  kit.yaml         the coordinator's kit, verified; ca.crt is taken from it
  ca.crt           the federation's root certificate
  request.yaml     the enrolment request that was sent
  pseudonyms.key   makes patients' numbers pseudonyms; its owner's alone, never leaves
  state/ cache/    the worker's alone; so is weights/, unless it lies elsewhere
  run/             worker.sock and desk.sock, the worker's; its group may enter
  link/            the carrier's alone: node.key, link.yaml, flower/ (FLWR_HOME), pulse; logs/,
                   where the worker is kept by another service
  logs/            of `leukofed-site run`
```
"""

import re
from dataclasses import dataclass
from datetime import time
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from common.errors import ConfigError
from common.study.strict import Strict
from common.yaml_file import load_yaml


def _checked_hours(text: str) -> str:
    found = re.fullmatch(r"(\d\d:\d\d)-(\d\d:\d\d)", text)
    if found is None:
        raise ValueError("write working hours as `19:00-07:00`, local time")
    begin, end = (time.fromisoformat(part) for part in found.groups())
    if begin == end:
        raise ValueError("working hours begin and end at the same minute")
    return text


Hours = Annotated[str, AfterValidator(_checked_hours)]
"""From when to when, local time, for example `19:00-07:00`; may span midnight."""


class LinkSettings(Strict):
    """`link/link.yaml`: how this site reaches the coordinator; `docs/link.md` is generated."""

    address: str = Field(default="", pattern=r"^(|[^\s:]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5})$")
    """The coordinator's front, `HOST:PORT`; `leukofed-site join` takes it from the kit."""
    proxy: str | None = Field(default=None, pattern=r"^http://[^\s/]+:\d{1,5}/?$")
    """An HTTP proxy of the hospital's network, `http://[USER:PASSWORD@]HOST:PORT`; null: none."""
    hours: Hours | None = None
    """When this site works, local time, `19:00-07:00`; null: always."""
    bandwidth_mbit: float | None = Field(default=None, gt=0)
    """Most bandwidth, each way, in units of 10^6 bit/s; null: no limit."""
    health_port: int = Field(default=9190, ge=1, le=65535)
    """Where `leukofed-site run` tells on localhost how it is."""


@dataclass(frozen=True)
class SiteFolder:
    """A hospital's folder; `leukofed-site init` makes it."""

    path: Path

    @property
    def site_file(self) -> Path:
        """What only the hospital decides."""
        return self.path / "site.yaml"

    @property
    def approved(self) -> Path:
        """Folder of the approved studies."""
        return self.path / "approved"

    @property
    def kit(self) -> Path:
        """The coordinator's kit."""
        return self.path / "kit.yaml"

    @property
    def authority(self) -> Path:
        """The federation's root certificate."""
        return self.path / "ca.crt"

    @property
    def request(self) -> Path:
        """The enrolment request."""
        return self.path / "request.yaml"

    @property
    def pseudonym_key(self) -> Path:
        """What makes patients' numbers pseudonyms; it never leaves this folder."""
        return self.path / "pseudonyms.key"

    @property
    def socket(self) -> Path:
        """Where the carrier finds the worker."""
        return self.path / "run" / "worker.sock"

    @property
    def desk(self) -> Path:
        """Where administrators find the worker."""
        return self.path / "run" / "desk.sock"

    @property
    def link(self) -> Path:
        """The carrier's own folder."""
        return self.path / "link"

    @property
    def node_key(self) -> Path:
        """The SuperNode's private key; it never leaves this folder."""
        return self.link / "node.key"

    @property
    def flower_home(self) -> Path:
        """Flower's own folder (`FLWR_HOME`)."""
        return self.link / "flower"

    @property
    def pulse(self) -> Path:
        """The file that a carrier touches at every sign of life from the worker."""
        return self.link / "pulse"

    @property
    def logs(self) -> Path:
        """Logs of worker, SuperNode and supervisor."""
        return self.path / "logs"

    @property
    def carrier_logs(self) -> Path:
        """Logs of a supervisor that keeps the SuperNode only, as the carrier's user."""
        return self.link / "logs"

    @cached_property
    def link_settings(self) -> LinkSettings:
        """How this site reaches the coordinator.

        Raises:
            ConfigError: the folder holds no site, or `link/link.yaml` breaks the schema.
        """
        file = self.link / "link.yaml"
        if not self.path.is_dir() or not self.link.is_dir():
            raise ConfigError(
                "this folder holds no site",
                fix="name the site's folder with --site, or make one with `leukofed-site init`",
                local_detail=str(self.path),
            )
        return load_yaml(file, LinkSettings, fix="correct these keys; see docs/link.md")
