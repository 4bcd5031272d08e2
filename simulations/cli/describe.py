"""`leukofed-sim describe`: a dataset, and the virtual sites that a scenario makes of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from common.commands import plain_errors
from simulations.cli.options import scenarios

if TYPE_CHECKING:
    from client.data.account import Division
    from client.data.manifest import Example


@click.command()
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--scenario",
    shell_complete=scenarios,
    help="Divide the images as this scenario does: a file, or the name of one that ships.",
)
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the tables there too, a line per class and site or part.",
)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.png",
    help="Draw the first table there, as bars.",
)
@click.option(
    "--samples",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.png",
    help="Draw six images of each class there; mind the dataset's licence.",
)
@plain_errors
def describe(
    manifest: Path,
    scenario: str | None,
    csv_file: Path | None,
    picture: Path | None,
    samples: Path | None,
) -> None:
    """Count the images of MANIFEST per class and part; with --scenario, per virtual site too.

    Told besides: what groups the images, sizes, formats, and what a study would leave out and
    why. Shares are of the site's or part's images; in the last row, of all images.

    \b
    Examples:
      leukofed-sim describe DIR/manifest.csv
      leukofed-sim describe DIR/manifest.csv --scenario taleqani-3-sites --csv sites.csv
    """  # noqa: D301 - click reads \b as "do not wrap"
    from client.data.account import Wanted, by_part, show
    from client.data.manifest import read_manifest, read_table
    from common.errors import ConfigError
    from simulations.partition import partition
    from simulations.scenario import ManifestsData, load_scenario

    wanted, console = Wanted(csv_file, picture, samples), Console()
    if scenario is None:
        classes: Sequence[str] = sorted({row["label"] for _, row in read_table(manifest, {})})
        found = read_manifest(manifest, classes)
        show(found, classes, lambda examples: by_part(examples, None, None), wanted, console)
        return
    known, study = load_scenario(scenario)
    if isinstance(known.data, ManifestsData):
        raise ConfigError(
            "the scenario joins several datasets (data.kind: manifests), not this one alone",
            fix="let `leukofed-sim partition` show what each site gets, or leave --scenario out",
        )
    classes = study.labels.classes
    found = read_manifest(
        manifest, classes, study.data.group, joined_by=study.data.joined_by
    )  # fmt: skip
    rows = partition(manifest, known.partition, study.seed, study.sites)
    images = [example.image for example in found.examples]
    placed = {
        image: (row["site"], row["split"]) for image, row in zip(images, rows, strict=True)
    }  # fmt: skip

    def divide(examples: Sequence["Example"]) -> list["Division"]:
        return by_site([placed[example.image] for example in examples], study.sites)

    show(found, classes, divide, wanted, console)


def by_site(placed: Sequence[tuple[str, str]], sites: Sequence[str]) -> list["Division"]:
    """Divide by site, by part, and by both."""
    from client.data.account import Division
    from client.data.splits import PARTS

    return [
        Division("site", [site for site, _ in placed], sites),
        Division("part", [part for _, part in placed], PARTS),
        Division(
            "site and part", [f"{site} {part}" for site, part in placed],
            [f"{site} {part}" for site in sites for part in PARTS], is_shown=False,
        ),
    ]  # fmt: skip
