"""A SuperLink alone, with TLS and node authentication, and keys for sites that may connect."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from common.signing import new_key, write_key
from tests.support.keys import site_node_key
from tests.support.super_link import SuperLink


class BareLink:
    """A running SuperLink, from its being entered to its being left.

    Args:
        folder: holds `coordinator` with its `signing.pem`, and `nodes`: `ca.crt` and, per site,
            `NAME.key`.
        names: of the sites whose keys are registered.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.home, self.nodes = folder / "coordinator", folder / "nodes"
        for part in (self.home, self.nodes):
            part.mkdir(parents=True)
        self.signing_key = self.home / "signing.pem"
        write_key(self.signing_key, new_key())
        self.superlink = SuperLink(self.home, self.home / "tls")
        self.keys = {name: site_node_key(self.nodes / f"{name}.key") for name in names}

    def __enter__(self) -> Self:
        try:
            self.superlink.start()
            shutil.copyfile(self.superlink.ca, self.nodes / "ca.crt")
            for name in self.keys:
                self.superlink.register(self.nodes / f"{name}.pub", "--name", name)
        except BaseException:
            self.superlink.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.superlink.close()
