"""The files that a comparison ends in: figures, tables, plot and page."""

from io import BytesIO
from pathlib import Path

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from common.whole_file import write_whole
from server.report.svg import style
from server.report.words import number
from simulations.comparing.account import Comparison
from simulations.comparing.forest import drawn, forest
from simulations.comparing.words import (
    difference,
    headings,
    markdown,
    protocol,
    rows,
    title,
)


def write_outcome(found: Comparison, folder: Path) -> list[Path]:
    """Write JSON, Markdown, plot and page; figures of validation images have names of their own.

    Returns:
        The files.
    """
    stem = "compare" if found.part == "test" else f"compare-{found.part}"
    texts = {
        "json": f"{found.model_dump_json(indent=1)}\n".encode(),
        "md": markdown(found).encode(),
        "html": page(found).encode(),
        "png": _image(found, "png"),
        "svg": _image(found, "svg"),
    }
    written = []
    for ending, data in texts.items():
        written.append(folder / f"{stem}.{ending}")
        write_whole(written[-1], data)
    return written


def page(found: Comparison) -> str:
    """Return the page: one HTML file that needs nothing besides itself."""
    room = Environment(
        loader=PackageLoader("simulations.comparing", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    css, _, _ = PackageLoader("server.report", ".").get_source(room, "page.css")
    return room.get_template("page.html.j2").render(
        found=found,
        css=Markup(css),
        plot=drawn(found),
        protocol=protocol(found),
        headings=headings(found),
        rows=list(rows(found)),
        difference=difference,
        number=number,
        title=title,
        study=yaml.safe_dump(found.study, sort_keys=False, allow_unicode=True, width=100),
    )


def _image(found: Comparison, kind: str) -> bytes:
    data = BytesIO()
    with style(printed=True):
        metadata = {"Date": None} if kind == "svg" else None
        forest(found, printed=True).savefig(data, format=kind, dpi=160, metadata=metadata)
    return data.getvalue()
