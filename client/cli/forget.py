"""`leukofed-site forget`: what this site keeps of a patient or a dataset is removed."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from client.cli.options import SITE, SITE_FILE
from common.commands import plain_errors
from common.plain_text import plain

if TYPE_CHECKING:
    from client.forgetting import Chosen, Kept, Wish
    from client.site_config import SiteConfig

_STOP = "stop it, and `leukofed-site run` which would start it again; then repeat this command"
_LISTED = 20  # lines of the manifest, and runs, that are shown


@click.command()
@SITE
@SITE_FILE
@click.option(
    "--patient", multiple=True, help="A patient, as the manifest has it; may be repeated."
)
@click.option(
    "--column",
    multiple=True,
    metavar="NAME=VALUE",
    help="Images whose lines have this value in this column, such as ward=A; repeated: in each.",
)
@click.option(
    "--manifest",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Images of this manifest, instead of the site's own.",
)
@click.option("--unlisted", is_flag=True, help="Whatever belongs to no line of the manifest.")
@click.option("--all", "everything", is_flag=True, help="All images.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@plain_errors
def forget(
    site: Path,
    site_file: Path | None,
    patient: tuple[str, ...],
    column: tuple[str, ...],
    manifest: Path | None,
    unlisted: bool,
    everything: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Remove what this site keeps of a patient or a dataset, and say what cannot be removed.

    First it shows what there is: the cache's prepared images, activations and features, remembered
    digests and findings, and replies that the outbox keeps. Then it asks. No worker may run
    meanwhile. The log gets a line that tells counts only.

    A kept reply is a sum over many patients, of which none can be cut out. So the bytes of all kept
    replies are removed; that their steps were answered stays known. If the coordinator still waits
    for one of them, the run goes on without this site's answer.

    Neither images nor manifest are touched: remove the lines that are shown, or the next run works
    with these images again. What models have learnt from them stays in the models.

    Example: leukofed-site forget --patient P-017 --site /var/lib/leukofed

    Example: leukofed-site forget --column ward=A --dry-run
    """
    from contextlib import ExitStack

    from client.data.cache import ActivationCache
    from client.forgetting import Wish, look
    from client.forgetting import forget as forget_images
    from client.site_config import load_site_config
    from client.site_folder import SiteFolder
    from client.state_lock import alone, as_owner

    wish = Wish(patient, _columns(column), manifest, unlisted, everything)
    _check(wish)
    config = load_site_config(site_file or SiteFolder(site).site_file)
    with ExitStack() as held:
        held.enter_context(as_owner(config.state))
        if not dry_run:  # from here on, so that nothing changes between showing and doing
            held.enter_context(alone(config.state, fix=_STOP))
            cache = ActivationCache(config.cache.folder, 0)
            held.callback(cache.close)
        chosen = _watched(config, wish)
        found = look(config, chosen.images)
        _show(config, chosen, found)
        if dry_run or found.is_nothing:
            click.echo("Nothing is kept." if found.is_nothing else "Nothing was removed.")
            return
        if not (yes or _confirmed()):
            click.echo("Nothing was removed.")
            return
        done = forget_images(config, chosen, found)
    click.echo(
        f"Removed: {done.cache.records} records, {done.cache.findings} findings, {done.replies} "
        "replies. The log has a line for it. Copies in backups or snapshots of these folders are "
        "not reached."
    )


def _confirmed() -> bool:
    try:
        return click.confirm("Remove this now?", default=False)
    except click.Abort:  # nobody there to answer
        click.echo()
        return False


def _columns(column: tuple[str, ...]) -> Mapping[str, str]:
    pairs = [text.partition("=") for text in column]
    if any(not name or not equals for name, equals, _ in pairs):
        raise click.UsageError("--column is written NAME=VALUE, such as ward=A")
    return {name: value for name, _, value in pairs}


def _check(wish: "Wish") -> None:
    chosen = bool(wish.patients or wish.columns or wish.manifest)
    if chosen + wish.unlisted + wish.everything != 1:
        raise click.UsageError(
            "say whose images: --patient, --column or --manifest, which may be combined; or "
            "--unlisted; or --all"
        )


def _watched(config: "SiteConfig", wish: "Wish") -> "Chosen":
    """Choose the images, and show on a terminal how many are digested."""
    from rich.console import Console

    from client.forgetting import choose

    count = 0
    with Console(stderr=True).status("Reading the manifest") as status:

        def pulse() -> None:
            nonlocal count
            count += 1
            status.update(f"Digesting images: {count}")

        return choose(config, wish, pulse)


def _show(config: "SiteConfig", chosen: "Chosen", found: "Kept") -> None:
    cache = found.cache
    click.echo(
        f"Images: {len(chosen.lines) or len(cache.digests)}. Kept of them:\n"
        f"  cache    {cache.records} records, {cache.bytes / 1e6:.1f} MB of pixels, activations "
        "and features\n"
        f"  findings {cache.findings} remembered digests and findings\n"
        f"  outbox   {found.replies} replies, {found.reply_bytes / 1e6:.1f} MB, of all images "
        "together\n"
        f"  sheets   {found.sheets} contact sheets of the site's state\n"
        "  rehearsals: nothing; they work on generated images"
    )
    if chosen.lines:
        click.echo(f"Lines to remove from {plain(str(chosen.manifest))}; this command does not:")
        for number, path in chosen.lines[:_LISTED]:
            click.echo(f"  {number}: {plain(path)}")
        if len(chosen.lines) > _LISTED:
            click.echo(f"  and {len(chosen.lines) - _LISTED} more, of the same choice")
    if found.details:
        click.echo(
            f"Stays: {found.details} lines of the log name such a file in their local detail, "
            "which never left; a chained log cannot be changed."
        )
    click.echo("Stays: the worker's own log files, which may name files; they end with their age.")
    _show_runs(config, found)


def _show_runs(config: "SiteConfig", found: "Kept") -> None:
    if not found.runs:
        click.echo("This site has given no results in any run: no model has learnt from them.")
        return
    first = min(run.first for run in found.runs)
    click.echo(
        f"This site gave results in {len(found.runs)} runs since {first[:10]}. The log does not "
        "tell of which images; these may have taken part in all of them:"
    )
    for run in found.runs[-_LISTED:]:
        sure = "; records of them were made for this study" if run.is_certain else ""
        click.echo(
            f"  {plain(run.run)}, study {run.study[:12]}: {run.first[:10]} to {run.last[:10]}, "
            f"{', '.join(run.phases)}{sure}"
        )
    if len(found.runs) > _LISTED:
        click.echo(f"  and {len(found.runs) - _LISTED} before; `leukofed-site log` shows all")
    click.echo(
        "What these runs' models learnt from the images stays in the models, in every release and "
        "in whatever was made of them, at all hospitals. It cannot be taken out, and LeukoFed does "
        "not pretend to. The one way is to train again without the images: remove their lines, "
        "then ask the coordinator for a new run, and for the old releases to be withdrawn."
    )
