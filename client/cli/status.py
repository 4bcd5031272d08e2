"""`leukofed-site status`: what the worker is at."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from client.sockets import DESK
from common.commands import plain_errors
from common.durations import duration

if TYPE_CHECKING:
    from common.worker_pb2 import Outlook


@click.command()
@click.option(
    "--desk",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DESK,
    show_default=True,
    help="The worker's socket for administrators.",
)
@click.option("--json", "as_json", is_flag=True, help="Print every field, for monitoring.")
@plain_errors
def status(desk: Path, as_json: bool) -> None:
    """Show what this site's worker is at, and since when.

    Exit code 1: no worker answers.

    Example: leukofed-site status --desk /run/leukofed/desk.sock
    """
    from google.protobuf.json_format import MessageToJson

    from client.desk import look

    outlook = look(desk)
    if as_json:
        click.echo(
            MessageToJson(
                outlook, always_print_fields_with_no_presence=True, preserving_proto_field_name=True
            )
        )
    else:
        click.echo("\n".join(_lines(outlook)))


def _lines(outlook: "Outlook") -> list[str]:
    kind = type(outlook)
    activity = kind.Activity.Name(outlook.activity).lower()
    up = duration(outlook.up_seconds)
    lines = [f"{activity}, up for {up}, {outlook.resident_bytes / 1e6:.0f} MB of memory"]
    if outlook.study:
        where = kind.Phase.Name(outlook.phase).lower()
        exchange = f", exchange {outlook.exchange}" if outlook.exchange else ""
        spent, quiet = duration(outlook.seconds), duration(outlook.quiet_seconds)
        lines.append(f"study {outlook.study.hex()[:12]}: {where}, round {outlook.round}{exchange}")
        lines.append(f"at work for {spent}, last progress {quiet} ago")
        if outlook.done < outlook.of:
            lines.append(f"images through the frozen fronts: {outlook.done} of {outlook.of} views")
    lines.append(f"studies approved: {outlook.approved}")
    lines.append(f"replies given: {outlook.replies}, requests turned away: {outlook.turned_away}")
    return lines
