"""`leukofed-sim preprocess`: what a study's preparation makes of one image, step by step."""

from pathlib import Path

import click

from common.commands import plain_errors


@click.command()
@click.argument("image", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--study",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Study file whose settings are shown.  [default: every step switched on]",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("preprocess.png"),
    show_default=True,
    help="Picture to write, PNG.",
)
@plain_errors
def preprocess(image: Path, study: Path | None, out: Path) -> None:
    """Write a picture of IMAGE at every step of its preparation.

    In this order: the original, cleaned of lone pixels, cropped, masked (what was painted over is
    outlined), stain normalised, contrast enhanced (CAMSR, our reading: the paper never defines it),
    as the network sees it; then two augmented views as training draws them, and the nuclei as HSV
    thresholds find them, which no model is trained on.

    Without --study every step is switched on, to show what each does; with it, what the study
    leaves out is marked so. Try a few images of each class and each microscope: a step that
    changes one class more than another, or a scale bar that stays, shows here.

    \b
    Examples:
      leukofed-sim preprocess smear.jpg
      leukofed-sim preprocess smear.jpg --study study.yaml --out steps.png
    """  # noqa: D301 - click reads \b as "do not wrap"
    from common.digests import digest_bytes
    from common.errors import ConfigError
    from common.imaging.decode import decode
    from common.study.schema import load_study
    from simulations.preparation_panel import (
        EVERY_STEP,
        EVERY_VARIATION,
        caption,
        draw,
        panels,
    )

    if out.suffix.lower() != ".png":
        raise ConfigError(f"{out.name} is no PNG", fix="let the name after --out end in .png")
    imaging, augmentation, seed = EVERY_STEP, EVERY_VARIATION, 1
    if study is not None:
        found = load_study(study)
        imaging, augmentation, seed = found.imaging, found.augmentation, found.seed
    data = image.read_bytes()
    shown = panels(decode(data), imaging, augmentation, seed, digest_bytes(data))
    out.parent.mkdir(parents=True, exist_ok=True)
    draw(shown, caption(imaging, augmentation)).savefig(out, dpi=150)
    for panel in shown:
        click.echo(f"{panel.title + ':':22}{'switched off' if panel.is_off else panel.note}")
    click.echo(f"written to {out}")
