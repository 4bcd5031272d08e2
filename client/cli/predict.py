"""`leukofed-site predict`: a released model applied to images."""

from pathlib import Path

import click

from common.commands import plain_errors


@click.command()
@click.option(
    "--release",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="BUNDLE",
    help="The released model: a folder, or its zip.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The CSV file to write: a line per image, a column per class.",
)
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    metavar="PATH...",
    type=click.Path(exists=True, path_type=Path),
)
@plain_errors
def predict(release: Path, out: Path, paths: tuple[Path, ...]) -> None:
    """Give each image at PATH, a file or a folder, a probability per class.

    For research only: the model is not a diagnostic device. Nothing leaves this machine.

    Example: leukofed-site predict --release release.zip smears/ --out found.csv
    """
    from client.predict import predict_files
    from common.release import read_release

    found = read_release(release)
    if found.metrics.get("rehearsal"):
        click.echo(
            "Warning: this release is of a rehearsal. Its model has seen generated images only: "
            "what it says about real ones means nothing.",
            err=True,
        )

    def watch(done: int, of: int) -> None:
        click.echo(f"\r{done} of {of} images", nl=done == of, err=True)

    predict_files(found, list(paths), out, watch)
