"""`leukofed-site init`: a new site, its key and its request."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from common.commands import plain_errors

if TYPE_CHECKING:
    from client.enrolment import Choices, Owners

_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)

_LIMITS: tuple[tuple[str, str, "click.ParamType[Any]"], ...] = (
    ("fewest_examples", "Fewest images of a class that is counted to the coordinator",
     click.IntRange(min=0)),
    ("most_rounds", "Most answers in one run", click.IntRange(min=1)),
    ("most_runs", "Most runs of one study", click.IntRange(min=1)),
    ("largest_payload_mb", "Largest reply, in MB", _ABOVE_ZERO),
)  # fmt: skip


def _limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for key, words, kind in reversed(_LIMITS):
        option = click.option(f"--{key.replace('_', '-')}", type=kind, help=f"{words}.")
        command = option(command)
    return command


@click.command()
@click.option(
    "--site",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default="this folder",
    metavar="DIR",
    help="The folder to make.",
)
@click.option("--name", help="The name by which this site asks to be known.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The manifest, or the folder of images in which it lies as manifest.csv.",
)
@click.option(
    "--weights",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of pre-trained weights.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for the cache, on a fast disk.",
)
@click.option("--cache-gb", type=_ABOVE_ZERO, help="Most disk for it, in GB.")
@_limit_options
@click.option(
    "--most-mb-a-day",
    type=_ABOVE_ZERO,
    help="Most that leaves within 24 hours, in MB.  [default: no limit]",
)
@click.option("--contact", help="Whom the coordinator calls.")
@click.option("--worker-user", metavar="USER", help="As root: who reads the images.")
@click.option("--carrier-user", metavar="USER", help="As root: who has the network.")
@click.option("--yes", is_flag=True, help="Ask nothing: take the default where no flag says else.")
@plain_errors
def init(
    site: Path, worker_user: str | None, carrier_user: str | None, yes: bool, **given: Any
) -> None:
    """Make a site: its folder, its key, and the request to be admitted.

    Asks for what no flag says. Nothing leaves this machine, and nothing runs yet. The key lies in
    link/node.key and never leaves it; request.yaml holds its public half, and you send that to
    the coordinator, who asks you for its fingerprint by telephone.

    Where images are to be safe from whatever comes over the network, run this as root and name
    two users: one who may read the images and has no network, one who has the network and reads
    no image. deploy/README.md tells how to make them.

    Example: leukofed-site init --site /var/lib/leukofed --name north --data /data/smears

    Example: leukofed-site init --site /var/lib/leukofed --name north --data /data/smears
    --worker-user leukofed-worker --carrier-user leukofed-carrier --contact "IT, +49 1 23" --yes
    """
    from client.enrolment import make_site
    from common.kit import fingerprint

    users = _owners(worker_user, carrier_user)
    choices = _choices(site, given, yes=yes)
    request = make_site(site, choices, users)
    click.echo(
        f"\nThe site {request.site} is made in {site.resolve()}\n"
        f"  Settings     {site / 'site.yaml'}\n"
        f"  Request      {site / 'request.yaml'}\n"
        f"  Fingerprint  {fingerprint(request.public_key)}"
    )
    if users is None:
        click.echo("  Worker and carrier are one user: no wall stands between images and network.")
    click.echo("\nNext:")
    steps = [
        "Send request.yaml to the coordinator; it holds no secret.",
        "Read the fingerprint to the coordinator by telephone.",
        "When its kit comes: leukofed-site join KIT",
    ]
    if not choices.manifest.exists():
        steps.insert(0, f"leukofed-site manifest {choices.manifest.parent}")
    for number, step in enumerate(steps, start=1):
        click.echo(f"  {number}. {step}")


def _owners(worker: str | None, carrier: str | None) -> "Owners | None":
    from client.enrolment import owners

    if worker is None and carrier is None:
        return None
    if worker is None or carrier is None:
        raise click.UsageError("--worker-user and --carrier-user go together")
    if os.geteuid() != 0:
        raise click.UsageError("only root can hand a site over to two users")
    return owners(worker, carrier)


def _choices(site: Path, given: Mapping[str, Any], *, yes: bool) -> "Choices":
    """Ask for what no flag says, one value after another.

    Args:
        site: the folder to be made.
        given: what the flags say, None where they say nothing.
        yes: whether the defaults are taken unasked.
    """
    from client.enrolment import Choices
    from client.site_config import Cache, Limits

    def value(key: str, words: str, usual: Any, check: Callable[[Any], Any]) -> Any:
        said = given[key]
        if said is None and yes:
            if usual is None:
                raise click.UsageError(f"with --yes, name --{key}")
            said = usual
        if said is None:
            return click.prompt(words, default=usual, value_proc=check)
        try:
            return check(said)
        except click.UsageError as error:
            raise click.UsageError(f"--{key.replace('_', '-')}: {error.message}") from error

    here, usual = site.resolve(), Limits()
    name = value("name", "Name of this site (a-z, 0-9, -)", None, _site_name)
    manifest = value("data", "Manifest, or folder of images", None, _manifest)
    weights = value("weights", "Folder of pre-trained weights", here / "weights", _folder)
    folder = value("cache", "Folder for the cache, on a fast disk", here / "cache", _folder)
    limit_gb = value("cache_gb", "Most disk for the cache, in GB", 20.0, _ABOVE_ZERO)
    limits = {key: value(key, words, getattr(usual, key), kind) for key, words, kind in _LIMITS}
    contact = value("contact", "Whom the coordinator calls", "", _contact)
    cache = Cache(folder=folder, limit_gb=limit_gb)
    limits["most_mb_a_day"] = given["most_mb_a_day"]
    return Choices(name, manifest, weights, cache, Limits(**limits), contact)


def _site_name(text: str) -> str:
    from pydantic import TypeAdapter, ValidationError

    from common.study.schema import SiteName

    try:
        return TypeAdapter(SiteName).validate_python(text)
    except ValidationError as error:
        raise click.UsageError(
            "lower-case letters, digits and hyphens, at most 32, no hyphen at the ends"
        ) from error


def _manifest(value: str | Path) -> Path:
    path = Path(value).expanduser().resolve()
    if path.is_dir():
        return path / "manifest.csv"
    if not path.is_file():
        raise click.UsageError("there is no such file or folder")
    return path


def _folder(value: str | Path) -> Path:
    path = Path(value).expanduser().resolve()
    if path.exists() and not path.is_dir():
        raise click.UsageError("this is no folder")
    return path


def _contact(text: str) -> str:
    if len(text) > 200:
        raise click.UsageError("at most 200 characters")
    return text
