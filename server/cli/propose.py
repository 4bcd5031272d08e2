"""`leukofed-server propose`: a study, signed, for hospitals to approve."""

from pathlib import Path

import click

from common.commands import plain_errors
from server.cli.options import FEDERATION


@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@FEDERATION
@click.option(
    "--replace", is_flag=True, help="Let it take the place of another study of the same name."
)
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    help="Without a federation's folder: the coordinator's signing key; with --out.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Without a federation's folder: the file to write, to be sent to every hospital.",
)
@plain_errors
def propose(
    study: Path, federation: Path, replace: bool, key: Path | None, out: Path | None
) -> None:
    """Sign a STUDY for hospitals to approve.

    STUDY is the folder that `leukofed-sim init-model` wrote, or the study.yaml in it: it pins the
    weights and the initial model. It is copied to studies/NAME in the federation's folder, and
    proposal.yaml there is what every hospital is sent. That is itself a study file, every default
    filled in, with the signature in a comment; `leukofed-site approve` shows and approves it.

    Example: leukofed-server propose trial-1 --federation /srv/leukofed
    """
    if (key is None) != (out is None):
        raise click.UsageError("--key and --out go together")
    if key is not None and out is not None:
        _sign(study, key, out)
        return
    from server.federation import Federation
    from server.proposals import propose as take

    found = Federation(federation)
    _ = found.settings  # says what is missing where there is no federation
    taken = take(found, study, replace=replace)
    click.echo(f"study {taken.study.digest}\n  signed; send every hospital {taken.proposal}")
    if taken.unknown:
        click.echo(f"  not admitted, and so not to be reached: {', '.join(taken.unknown)}")


def _sign(study: Path, key: Path, out: Path) -> None:
    from common.errors import ConfigError
    from common.proposal import proposal
    from common.signing import read_key
    from common.whole_file import write_whole
    from server.proposals import pinned_study

    found = pinned_study(study / "study.yaml" if study.is_dir() else study)
    text = proposal(found, read_key(key))
    try:
        write_whole(out, text.encode())
    except OSError as error:
        raise ConfigError(
            f"the signed study cannot be written: {error.strerror}",
            fix="name a file in a folder that exists and that you may write to",
            local_detail=str(out),
        ) from error
    click.echo(f"study {found.digest}\n  signed; written to {out}")
