import pytest

from common.data_sheet import BLANK, data_sheet
from common.figures import SiteData
from tests.support.exchanges import STUDY

# Gebru et al. 2021, sections 3.1 to 3.7.
SECTIONS = [
    "Motivation", "Composition", "Collection", "Preprocessing, cleaning, labelling", "Uses",
    "Distribution", "Maintenance",
]  # fmt: skip
NORTH = SiteData(
    examples={"train": {"a": 61, "b": 52}, "validation": {"a": 13, "b": 12}, "test": {"a": 14}},
    withheld={"test": ("b",)}, fewest_examples=5,
    groups={"train": 20, "validation": 5, "test": 6}, grouped_by="patient",
    excluded={"cannot be decoded": 3, "exact duplicate": 0},
)  # fmt: skip
SOUTH = NORTH.model_copy(
    update={"withheld": {}, "grouped_by": "slide", "excluded": {}, "groups": {"train": 1}}
)


def test_what_the_sites_told_is_filled_in() -> None:
    text = data_sheet(STUDY, {"south": SOUTH, "north": NORTH}, synthetic=False)
    for fact in (
        "304 + < 5, at 2 sites", "| a | 122 | 26 | 28 | 176 |",
        "| b | 104 | 24 | < 5 | 128 + < 5 |",
        "| total | 226 | 50 | 28 + < 5 | 304 + < 5 |", "21 / not told / not told in training",
        "| north | 61 / 13 / 14 | 52 / 12 / < 5 | 20 / 5 / 6 | patient |",
        "| south | 61 / 13 / 14 | 52 / 12 / 0 | 1 / ? / ? | slide |",
        "| north | cannot be decoded | 3 |", "grouped by slide: their patients are unknown",
        "`< 5` says that there are some", "15 %\n  validation, 20 % test", "contrast: camsr",
    ):  # fmt: skip
        assert fact in text, fact
    assert "exact duplicate |" not in text
    assert "generated" not in text


def test_every_section_stands_in_order_and_what_people_know_is_blank() -> None:
    text = data_sheet(STUDY, {"north": NORTH}, synthetic=False)
    heads = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert heads == SECTIONS
    blanks = [line for line in text.splitlines() if line.startswith(f"- {BLANK}")]
    assert len(blanks) == text.count(BLANK) - 1 == 10  # one explains the mark
    for words in ("who gave the labels", "consented", "stain", "licence", "whom does one write to"):
        assert any(words in line for line in blanks) or words in text


def test_nothing_withheld_is_not_spoken_of() -> None:
    text = data_sheet(STUDY, {"south": SOUTH}, synthetic=False)
    assert "withheld" not in text
    assert "none at any site." in text
    assert "at 1 site," in text


@pytest.mark.parametrize("kind", ["synthetic", "rehearsal"])
def test_generated_images_are_said_to_be(kind: str) -> None:
    flags = {"synthetic": False, kind: True}
    text = data_sheet(STUDY, {"north": NORTH}, **flags)
    assert "**The images were generated.**" in text


def test_a_reason_of_a_site_is_no_more_than_words() -> None:
    sly = NORTH.model_copy(update={"excluded": {"a |\n## Uses\n<script>": 2}})
    text = data_sheet(STUDY, {"north": sly}, synthetic=False)
    assert "| north | a \\| ## Uses &lt;script> | 2 |" in text
    assert text.count("\n## Uses\n") == 1
