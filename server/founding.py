"""Making a federation: its folder, certificates, signing key and settings."""

import json
from pathlib import Path

from common.new_folder import new_folder
from common.signing import new_key, write_key
from common.whole_file import write_whole
from server.certificates import renew, write_root
from server.control import write_connection
from server.federation import Federation, Settings

_FOLDERS = ("sites", "kits", "studies", "runs", "front", "logs")


def found(path: Path, settings: Settings) -> Federation:
    """Make a federation's folder: whole or not at all, and open to its owner alone.

    Args:
        path: the folder; it may exist, if it holds nothing of a federation's.
        settings: what `federation.yaml` will say.

    Raises:
        ConfigError: the folder holds a federation, cannot be made, or a host is no host.
    """
    federation = Federation(path)
    made = ("federation.yaml", "tls", "signing.pem", "flower", *_FOLDERS)
    with new_folder(path, made, holds="a federation"):
        write_whole(path / "federation.yaml", settings_text(settings).encode(), mode=0o600)
        for name in (*_FOLDERS, "flower"):
            (path / name).mkdir(mode=0o700)
        write_root(federation)
        renew(federation)
        write_key(federation.signing_key, new_key())
        write_connection(federation)
    return federation


def settings_text(settings: Settings) -> str:
    """Return the text of `federation.yaml`, with comments."""
    hosts = ", ".join(_quoted(host) for host in settings.hosts)
    return f"""\
# A federation of LeukoFed, as its coordinator runs it. docs/federation.md explains every setting.
# Every kit holds name, address, contact and terms: after a change, `leukofed-server admit` writes a
# kit anew, and hospitals take it with `leukofed-site join`.

name: {_quoted(settings.name)}

# Names and addresses by which sites reach you; they dial the first. After a change:
# `leukofed-server renew`, since the front's certificate names them all.
hosts: [{hosts}]
port: {settings.port}                       # where the front listens for sites
link_port: {settings.link_port}                  # where the SuperLink listens, for this host alone
database_mb: {settings.database_mb}                # how large the SuperLink's database may become

contact: {_quoted(settings.contact)}      # whom a hospital calls
# What the parties agreed on, in a sentence or two.
terms: {_quoted(settings.terms)}
"""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # JSON's strings are YAML's
