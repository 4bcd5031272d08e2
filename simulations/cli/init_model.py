"""`leukofed-sim init-model`: the arrays that every site starts from."""

from pathlib import Path

import click

from common.commands import plain_errors


@click.command("init-model")
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--weights",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of pre-trained weights, ARCHITECTURE.safetensors.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder to write to.  [default: this one]",
)
@plain_errors
def init_model(study: Path, weights: Path | None, out: Path) -> None:
    """Make the initial model of a STUDY file, which the coordinator then reads without torch.

    Writes initial.safetensors (the arrays that travel), fronts.safetensors (the frozen parts,
    for the release) and study.yaml, which pins weights and initial model by their digests.

    Example: leukofed-sim init-model studies/xincept-all.yaml --weights DIR --out trial
    """
    from safetensors.numpy import save_file

    from common.initial_model import write_initial
    from common.model.initial import build_branches, initial_model
    from common.model.network import front_arrays
    from common.model.weights import pin_weights
    from common.study.schema import load_study
    from common.yaml_file import dump_yaml

    found = load_study(study)
    found = found.model_copy(update={"network": pin_weights(found.network, weights)})
    branches = build_branches(found, weights)
    made = initial_model(found, branches)
    out.mkdir(parents=True, exist_ok=True)
    write_initial(out / "initial.safetensors", made)
    save_file(front_arrays(branches), out / "fronts.safetensors")
    pinned = found.model_copy(update={"initial_model": made.digest})
    (out / "study.yaml").write_text(dump_yaml(pinned), encoding="utf-8")
    travelling = sum(a.nbytes for part in made.parts.values() for a in part.values())
    click.echo(f"initial model {made.digest}")
    click.echo(f"  {travelling / 1e6:.1f} MB travel; written to {out}")
