"""`leukofed-site check`: what stands in the way of a study here, and what would leave."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click
from rich.console import Console

from client.cli.options import SITE
from client.cli.watched import watched
from common.commands import plain_errors
from common.errors import ConfigError

if TYPE_CHECKING:
    from client.site_config import SiteConfig
    from client.site_folder import SiteFolder
    from common.study.schema import Study

_IMAGES = 120


@click.command()
@SITE
@click.option(
    "--site-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A site file alone, instead of a site's folder: checks of the link are left out.",
)
@click.option(
    "--study",
    metavar="STUDY",
    help="Hold data and machine against this study: a file, or the name of an approved one.  "
    "[default: every approved study]",
)
@click.option("--offline", is_flag=True, help="Leave out what needs the network.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, for monitoring.")
@click.option(
    "--what-leaves",
    metavar="STUDY",
    help="Show instead what this study would send, by a dry run: a file, or the name of an "
    "approved study.",
)
@click.option("--own", is_flag=True, help="With --what-leaves: work on this site's own images.")
@click.option(
    "--images",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"With --what-leaves: how many images, at most.  [default: {_IMAGES}]",
)
@plain_errors
def check(
    site: Path,
    site_file: Path | None,
    study: str | None,
    offline: bool,
    as_json: bool,
    what_leaves: str | None,
    own: bool,
    images: int | None,
) -> None:
    """Check this site: images, machine, permissions, worker, network, and one round offline.

    Prints one line per check: ok, warning, or PROBLEM, and what to do. Nothing of the site is
    changed, and nothing leaves it. Run it as root or as the worker's user; only root can really
    try what the carrier's user may read. Reading every image takes a while.

    With --what-leaves, a dry run works through the study on generated images in a temporary
    folder, and lists all that each reply would hold: every array with its shape, type, bytes and
    norm, every number told, and why. Nobody is asked, and since nothing leaves, nothing is
    written to this site's log.

    Exit code 1: there is a problem.

    Example: leukofed-site check --site /var/lib/leukofed

    Example: leukofed-site check --site /var/lib/leukofed --what-leaves proposal.yaml
    """
    from client.site_config import load_site_config
    from client.site_folder import SiteFolder

    if what_leaves is None and (own or images is not None):
        raise click.UsageError("--own and --images go with --what-leaves")
    folder = None if site_file is not None else SiteFolder(site)
    config = load_site_config(site_file or SiteFolder(site).site_file)
    if what_leaves is not None:
        if study is not None or offline:
            raise click.UsageError("--what-leaves stands alone: leave out --study and --offline")
        found = named_study(what_leaves, config, folder)
        _show_what_leaves(found, config, images or _IMAGES, own, as_json)
    else:
        _examine(config, folder, study, offline, as_json)


def _examine(
    config: "SiteConfig",
    folder: "SiteFolder | None",
    named: str | None,
    offline: bool,
    as_json: bool,
) -> None:
    from client.doctor.examination import Subject, approved_studies, examine
    from client.doctor.finding import Finding
    from client.doctor.screen import finding_line, findings_json, summary

    if named is not None:
        studies: tuple[Study, ...] = (named_study(named, config, folder),)
    else:
        studies = () if folder is None else approved_studies(config, folder)
    subject = Subject(config, folder, studies, offline)
    findings: list[Finding] = []
    console = Console(stderr=as_json)
    with watched(console) as watch:
        for finding in examine(subject, watch):
            findings.append(finding)
            if not as_json:
                console.print(finding_line(finding), soft_wrap=True, highlight=False)
    if as_json:
        click.echo(findings_json(findings, subject.left_out))
    else:
        for text in subject.left_out:
            click.echo(f"left out  {text}")
        click.echo(summary(findings))
    if any(finding.verdict == "problem" for finding in findings):
        raise click.exceptions.Exit(1)


def _show_what_leaves(
    study: "Study", config: "SiteConfig", count: int, own: bool, as_json: bool
) -> None:
    from client.doctor.screen import sent_json, sent_lines, total_line
    from client.dry_run import Sent
    from client.trial import generated_images, own_images, what_leaves
    from common.forecast import traffic
    from common.model.initial import model_shapes

    console = Console(stderr=as_json)
    sent: list[Sent] = []
    whose = f"up to {count} of this site's own images" if own else f"{count} generated images"
    if not as_json:
        click.echo(
            f"Study {study.name} ({study.digest[:12]}), a dry run on {whose}. Nothing leaves this "
            "machine, so nothing is logged as having left.\n"
        )
    with TemporaryDirectory(prefix="leukofed-") as place, watched(console) as watch:
        images = (
            own_images(config, Path(place) / "images", count)
            if own
            else generated_images(Path(place) / "images", study, count)
        )

        def fronts(done: int, of: int) -> None:
            watch("views through the frozen fronts", done, of)

        for one in what_leaves(study, config, images, Path(place), fronts):
            sent.append(one)
            watch("replies", len(sent), 0)
            if not as_json:
                is_new = all(one.work != before.work for before in sent[:-1])
                for line in [*sent_lines(one, is_new), ""]:
                    console.print(line, soft_wrap=True, highlight=False, markup=False)
    passing = traffic(study, model_shapes(study))
    click.echo(sent_json(study, whose, passing, sent) if as_json else total_line(passing, sent))
    if any(one.status != "done" for one in sent):
        raise click.exceptions.Exit(1)


def named_study(named: str, config: "SiteConfig", folder: "SiteFolder | None") -> "Study":
    """Read a study file, or find an approved study by its name or the beginning of its digest."""
    from client.doctor.examination import approved_studies
    from common.study.schema import load_study

    if Path(named).is_file() or folder is None:
        return load_study(Path(named))
    approved = approved_studies(config, folder)
    found = [one for one in approved if one.name == named or one.digest.startswith(named)]
    if len(found) != 1:
        raise ConfigError(
            f"{named} is no file, and {len(found)} approved studies have this name or digest",
            fix="name the study's file, or one of the approved studies by its digest: "
            + (
                ", ".join(f"{one.digest[:12]} ({one.name})" for one in approved) or "there are none"
            ),
        )
    return found[0]
