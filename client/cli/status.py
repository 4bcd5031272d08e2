"""`leukofed-site status`: what the worker is at, and how the link is."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from client.cli.options import SITE
from common.commands import plain_errors
from common.durations import duration
from common.errors import ConfigError
from common.plain_text import plain

if TYPE_CHECKING:
    from common.worker_pb2 import Outlook


@click.command()
@SITE
@click.option(
    "--desk",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The worker's socket for administrators.  [default: SITE/run/desk.sock]",
)
@click.option("--json", "as_json", is_flag=True, help="Print every field, for monitoring.")
@plain_errors
def status(site: Path, desk: Path | None, as_json: bool) -> None:
    """Show what this site's worker is at, and how its link to the coordinator is.

    The link is what `leukofed-site run` keeps; nothing is shown of it where that does not run.
    With --json it is the field `link`, which holds what the health endpoint tells, or null.

    Exit code 1: no worker answers.

    Example: leukofed-site status --site /var/lib/leukofed
    """
    from client.desk import look
    from client.health import ask_health
    from client.site_folder import SiteFolder

    folder = SiteFolder(site)
    may_ask = os.access(folder.link, os.X_OK)
    link = ask_health(folder.link_settings.health_port) if may_ask else None
    try:
        outlook = look(desk or folder.desk)
    except ConfigError:
        if link is not None:
            click.echo(json.dumps({"link": link}) if as_json else "\n".join(_link_lines(link)))
        raise
    if as_json:
        click.echo(json.dumps({**_told(outlook), "link": link}, indent=2))
        return
    lines = status_lines(outlook)
    if link is not None:
        lines += _link_lines(link)
    elif not may_ask:
        lines.append("link: only root and the carrier's user may ask for it")
    else:
        lines.append("link: `leukofed-site run` does not run here, or keeps the worker only")
    click.echo("\n".join(lines))


def _told(outlook: "Outlook") -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(
        outlook, always_print_fields_with_no_presence=True, preserving_proto_field_name=True
    )


def _link_lines(link: Mapping[str, Any]) -> list[str]:
    heard = link["heard_seconds"]
    last = "never" if heard is None else f"{duration(heard)} ago"
    up, down = (link[way] / 1e6 for way in ("bytes_up", "bytes_down"))
    return [
        f"link: {plain(str(link['words']))}",
        f"coordinator last heard: {last}; {up:.1f} MB up, {down:.1f} MB down since the start",
    ]


def status_lines(outlook: "Outlook") -> list[str]:
    """Say in words how the worker is."""
    kind = type(outlook)
    activity = kind.Activity.Name(outlook.activity).lower()
    up = duration(outlook.up_seconds)
    lines = [f"{activity}, up for {up}, {outlook.resident_bytes / 1e6:.0f} MB of memory"]
    if outlook.study:
        where = kind.Phase.Name(outlook.phase).lower()
        exchange = f", exchange {outlook.exchange}" if outlook.exchange else ""
        spent, quiet = duration(outlook.seconds), duration(outlook.quiet_seconds)
        kind_of_run = ", a rehearsal on generated images" if outlook.rehearsal else ""
        lines.append(
            f"study {outlook.study.hex()[:12]}: {where}, round {outlook.round}{exchange}"
            f"{kind_of_run}"
        )
        lines.append(f"at work for {spent}, last progress {quiet} ago")
        if outlook.done < outlook.of:
            lines.append(f"images through the frozen fronts: {outlook.done} of {outlook.of} views")
    lines.append(f"studies approved: {outlook.approved}")
    lines.append(f"replies given: {outlook.replies}, requests turned away: {outlook.turned_away}")
    return lines
