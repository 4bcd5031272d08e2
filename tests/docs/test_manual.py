from pathlib import Path

import pytest

from docs.generate import FOLDER, pages


@pytest.mark.parametrize("name", pages())
def test_the_page_is_what_the_code_says(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == pages()[name], "run `make docs`"


@pytest.mark.parametrize("name", pages())
def test_every_link_inside_a_page_leads_somewhere(name: str) -> None:
    text = pages()[name]
    headings = {line[3:].lower() for line in text.splitlines() if line.startswith("## ")}
    targets = {piece.partition(")")[0] for piece in text.split("](#")[1:]}
    assert targets <= headings


def test_every_command_is_in_the_manual() -> None:
    text = pages()["cli.md"]
    for command in ("leukofed-site", "leukofed-server", "leukofed-sim"):
        assert f"## {command}\n" in text
    for room in Path().glob("*/cli/*.py"):
        source = room.read_text(encoding="utf-8")
        if room.stem != "main" and ("@click.command(" in source or "@click.group(" in source):
            name = room.stem.replace("_", "-")
            command = {"client": "site", "server": "server", "simulations": "sim"}[room.parts[0]]
            assert f"## leukofed-{command} {name}\n" in text
