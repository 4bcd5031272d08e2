"""A study's papers: one HTML page that needs nothing besides itself, made to be printed."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from client.pack.facts import Papers
from client.pack.words import BLANKS, GLOSSARY, MEASURES, RETENTION
from common.durations import duration
from common.errors import ConfigError
from common.forecast import PARTS
from common.kit import fingerprint
from common.privacy import DOES, LEAVES, NEVER, NO_EPSILON, THREATS, Leaving
from common.sizes import size
from common.study.phases import PhaseName
from common.whole_file import write_whole


def write_papers(papers: Papers, folder: Path) -> Path:
    """Write the page into a folder; return its place.

    Raises:
        ConfigError: it cannot be written.
    """
    place = folder / f"papers-{papers.found.study.name}-{papers.found.digest[:12]}.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(place, render_papers(papers).encode())
    except OSError as error:
        raise ConfigError(
            f"the page cannot be written: {error.strerror}",
            fix="name another folder with --out",
            local_detail=str(place),
        ) from error
    return place


def render_papers(papers: Papers) -> str:
    """Return the page's HTML."""
    room = Environment(
        loader=PackageLoader("client.pack", "."),
        autoescape=True,  # names come from the coordinator
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    room.filters |= {
        "size": size,
        "duration": duration,
        "moment": _moment,
        "minute": _minute,
        "code": _code,
    }
    css, _, _ = PackageLoader("client.pack", ".").get_source(room, "page.css")
    return room.get_template("page.html.j2").render(
        papers=papers,
        study=papers.found.study,
        found=papers.found,
        css=Markup(css),
        made=_moment(datetime.now(UTC).isoformat()),
        parts=PARTS,
        leaves=_leaves(),
        does=DOES,
        threats=THREATS,
        never=NEVER,
        no_epsilon=NO_EPSILON,
        measures=MEASURES,
        retention=RETENTION,
        blanks=BLANKS,
        glossary=GLOSSARY,
        site_key=None if papers.kit is None else fingerprint(papers.kit.public_key),
    )


def _leaves() -> dict[PhaseName, Sequence[Leaving]]:
    phases = dict.fromkeys(leaving.phase for leaving in LEAVES)
    return {phase: [one for one in LEAVES if one.phase == phase] for phase in phases}


def _moment(time: str) -> str:
    return f"{_minute(time)} UTC"


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _code(text: str) -> Markup:
    """Set what stands between back-ticks as code; the rest is escaped."""
    pieces = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if number % 2 else Markup("{}").format(piece)
        for number, piece in enumerate(pieces)
    )
