"""`leukofed-server study`: check a study and show it in full."""

import json
from pathlib import Path

import click

from common.commands import plain_errors


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--schema", is_flag=True, help="Print the JSON schema of a study file instead.")
@plain_errors
def study(file: Path | None, schema: bool) -> None:
    """Check a study FILE and print it with every default filled in.

    The digest in the first line is what a hospital approves: two files with the same digest
    describe the same study. What is printed is itself a study file.

    Example: leukofed-server study configs/studies/xincept-all.yaml
    """
    from common.study.schema import Study, load_study
    from common.yaml_file import dump_yaml

    if schema:
        click.echo(json.dumps(Study.model_json_schema(), indent=2))
    elif file is None:
        raise click.UsageError("give a study FILE, or --schema")
    else:
        checked = load_study(file)
        click.echo(f"# digest: {checked.digest}\n{dump_yaml(checked)}", nl=False)
