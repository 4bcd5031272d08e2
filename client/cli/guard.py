"""`leukofed-site guard`: only code that was installed here runs here."""

import os
from typing import TYPE_CHECKING

import click

from common.commands import plain_errors
from common.errors import ConfigError

if TYPE_CHECKING:
    from client.import_guard.proof import Proof

_INSTALL = "run `leukofed-site guard install`"


@click.group()
def guard() -> None:
    """Refuse code that was not installed in this environment.

    With every run a coordinator sends an app, which Flower unpacks and puts first on Python's
    path: a package `client` in it would run instead of the one that you installed. The guard
    makes each Python process of this virtual environment refuse modules from anywhere but its
    installed packages and the standard library. It is a second wall, not the first: see
    deploy/README.md.

    Example: leukofed-site guard install
    """


@guard.command()
@plain_errors
def install() -> None:
    """Put the guard into this virtual environment, and try it.

    Writes leukofed_import_guard.py and leukofed_import_guard.pth into site-packages; nothing else
    changes. Repeat it after every upgrade of leukofed or of Python. If a package that a site needs
    would be refused, the guard is taken out again.

    Example: sudo /opt/leukofed/bin/leukofed-site guard install
    """
    from client.import_guard.installation import (
        guard_files,
        installed_roots,
        put,
        site_packages,
        state,
        take_away,
    )
    from client.import_guard.proof import prove

    folder, roots = site_packages(), installed_roots()
    files = guard_files(roots)
    before = state(folder, files)
    if before != "whole":
        put(folder, files)
    proof = prove()
    if proof.failed:
        take_away(folder)
        raise ConfigError(
            "the guard would refuse what a site needs, so it was taken out again",
            fix="install leukofed with all that it requires in one virtual environment",
            local_detail="; ".join(proof.failed),
        )
    told = {"absent": "Installed", "altered": "Replaced", "whole": "Was installed already"}
    click.echo(f"{told[before]} in {folder}")
    click.echo("Modules may come from")
    for root in roots:
        click.echo(f"  {root}")
    _show(proof)


@guard.command()
@plain_errors
def status() -> None:
    """Tell whether the guard is in place, and try it.

    Starts a Python process with an app's code first on its path, as Flower would, and shows what
    was refused. Ends with 0 only if all of it was. Run it as the user as whom Flower runs.

    Example: sudo -u leukofed /opt/leukofed/bin/leukofed-site guard status
    """
    from client.import_guard.installation import (
        guard_files,
        installed_roots,
        site_packages,
        state,
    )
    from client.import_guard.proof import prove

    folder = site_packages()
    found = state(folder, guard_files(installed_roots()))
    if found == "absent":
        raise ConfigError("the import guard is not installed", fix=_INSTALL)
    if found == "altered":
        raise ConfigError(
            "the import guard was altered, or is of another version or environment",
            fix=f"{_INSTALL} again",
            local_detail=str(folder),
        )
    proof = prove()
    click.echo(f"The guard is in place in {folder}")
    _show(proof)
    if proof.failed:
        raise ConfigError(
            "the guard refuses what a site needs, or it is not installed whole",
            fix="install leukofed with all that it requires in one virtual environment",
            local_detail="; ".join(proof.failed),
        )
    if os.access(folder, os.W_OK):
        click.echo(
            "Note: this user may write there. Let Flower run as one who may not: an app can be "
            "unpacked in any folder that Flower can write."
        )


@guard.command()
@plain_errors
def remove() -> None:
    """Take the guard out of this virtual environment.

    Do so before you install from a source folder: pip then builds with tools in a folder of its
    own, which the guard refuses. pip itself and wheels work under it.

    Example: sudo /opt/leukofed/bin/leukofed-site guard remove
    """
    from client.import_guard.installation import guard_files, site_packages, state, take_away

    folder = site_packages()
    was = state(folder, guard_files(()))
    take_away(folder)
    click.echo(f"{'Nothing to remove' if was == 'absent' else 'Removed'} in {folder}")


def _show(proof: "Proof") -> None:
    """Print what was refused.

    Raises:
        ConfigError: something ran.
    """
    for words in proof.refused:
        click.echo(f"  refused: an app with {words}")
    if proof.ran:
        raise ConfigError(
            f"the guard is installed but does not work: an app with {', '.join(proof.ran)} ran",
            fix="install leukofed and its guard in a fresh virtual environment",
        )
