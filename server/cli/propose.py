"""`leukofed-server propose`: a study, signed, for hospitals to approve."""

from pathlib import Path

import click

from common.commands import plain_errors


@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--key", required=True, type=click.Path(path_type=Path), help="The coordinator's signing key."
)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write, to be sent to every hospital.",
)
@plain_errors
def propose(study: Path, key: Path, out: Path) -> None:
    """Sign a STUDY file for hospitals to approve.

    Sign the study.yaml that `leukofed-sim init-model` wrote: it pins the weights and the initial
    model. What is written is itself a study file, every default filled in, with the signature in
    a comment. A hospital that agrees puts it into its folder of approved studies.

    Example: leukofed-server propose trial/study.yaml --key signing.pem --out proposal.yaml
    """
    from common.errors import ConfigError
    from common.proposal import proposal
    from common.signing import read_key
    from common.study.schema import load_study
    from common.whole_file import write_whole

    found = load_study(study)
    if found.initial_model is None:
        raise ConfigError(
            "the study does not pin an initial model",
            fix="run `leukofed-sim init-model STUDY`, and sign the study.yaml that it writes",
            local_detail=str(study),
        )
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
