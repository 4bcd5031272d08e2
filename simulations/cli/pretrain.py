"""`leukofed-sim pretrain`: the small backbones that ship with leukofed, made again."""

from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, TaskID

from common.commands import plain_errors


@click.command()
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write ARCHITECTURE.safetensors to.",
)
@click.option("--images", type=click.IntRange(min=48), help="Smears to train on.  [default: 5000]")
@click.option("--passes", type=click.IntRange(min=1), help="How often each.  [default: 10]")
@plain_errors
def pretrain(out: Path, images: int | None, passes: int | None) -> None:
    """Train the small pair of backbones on generated smears, as configs/weights holds it.

    They learn to estimate the traits of random cells, no class. Takes about ten minutes on two
    cores; fewer images or passes give worse backbones sooner.

    Example: leukofed-sim pretrain --out weights
    """
    from dataclasses import replace

    from simulations.pretrain import PretrainSettings
    from simulations.pretrain import pretrain as train

    settings = PretrainSettings()
    settings = replace(settings, images=images or settings.images, passes=passes or settings.passes)
    tasks: dict[str, TaskID] = {}
    with Progress(console=Console()) as shown:

        def watch(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = shown.add_task(what, total=of)
            shown.update(tasks[what], completed=done)

        made = train(out, settings, watch)
    for one in made:
        explained = ", ".join(f"{name} {share:.2f}" for name, share in one.explained.items())
        click.echo(f"{one.file}\n  digest {one.digest}\n  variance explained: {explained}")
