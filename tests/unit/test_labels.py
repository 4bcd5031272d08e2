"""A hospital's words, a study's classes, and what lies between them."""

import pytest
import yaml
from pydantic import ValidationError

from common.labels import BINARY, FOUR_CLASS, Vocabulary, bare, lines_to_add, own_terms, words_for
from common.study.schema import LabelSet

COLLAPSE = {"Benign": "normal", "Early": "ALL", "Pre": "ALL", "Pro": "ALL"}
OWN = {"ALL L1": "Early", "hematogone": "Benign", "unclear": None}


@pytest.mark.parametrize("word", ["Pre-B", "pre b", "PRE_B", " Pre\u2011B ", "\uff30re\u2013B"])
def test_case_spaces_and_hyphens_do_not_count(word: str) -> None:
    assert bare(word) == "preb"


def test_a_hospitals_words_go_through_the_studys_collapse() -> None:
    binary = Vocabulary(BINARY, words_for(BINARY, COLLAPSE, OWN))
    meanings = {word: binary.meaning(word) for word in ("all-l1", "HEMATOGONE", "pro", "normal")}
    assert meanings == {"all-l1": "ALL", "HEMATOGONE": "normal", "pro": "ALL", "normal": "normal"}
    assert binary.meaning("Unclear") is None
    assert not binary.uses("Unclear")
    assert not binary.knows("L2")
    assert binary.uses("L2")


def test_the_same_site_file_serves_a_study_of_four_classes() -> None:
    four = Vocabulary(FOUR_CLASS, words_for(FOUR_CLASS, {}, OWN))
    assert (four.meaning("ALL L1"), four.meaning("hematogone")) == ("Early", "Benign")


def test_a_hospitals_word_comes_before_the_studys() -> None:
    words = words_for(BINARY, COLLAPSE, {"PRE": None, "early": "Benign"})
    vocabulary = Vocabulary(BINARY, words)
    assert vocabulary.meaning("Pre") is None
    assert vocabulary.meaning("Early") == "normal"


def test_a_word_for_another_studys_class_is_not_known_here() -> None:
    vocabulary = Vocabulary(("L1", "L2"), words_for(("L1", "L2"), {}, {**OWN, "L2": "Early"}))
    assert not vocabulary.knows("ALL L1")
    assert vocabulary.meaning("L2") == "L2"
    (_, line) = lines_to_add({"all l1": 2}, vocabulary)
    assert line.startswith("  all l1: null  # 2 images; Early is no class of this study; no class")
    misspelt = Vocabulary(FOUR_CLASS, words_for(FOUR_CLASS, {}, {"X": "Erly"}))
    (_, line) = lines_to_add({"x": 1}, misspelt)
    assert line == "  x: Early  # 1 image; Erly is no class of this study; a guess: check it"


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("[Malignant] Pro-B", "Pro"), ("pre-b", "Pre"), ("early Pre-B", "Early"),
        ("Earlly", "Early"),
        ("haematogone", "Benign"), ("benign (2)", "Benign"), ("AML", None), ("unclear", None),
        ("non-benign", None), ("", None),
    ],
)  # fmt: skip
def test_the_nearest_class_is_suggested(word: str, near: str | None) -> None:
    assert Vocabulary(FOUR_CLASS).nearest(word) == near


def test_what_a_word_denies_is_not_suggested() -> None:
    for word in ("abnormal", "not normal", "Non ALL", "no ALL", "unlike ALL"):
        assert Vocabulary(BINARY).nearest(word) is None
    assert Vocabulary(BINARY).nearest("normals") == "normal"


@pytest.mark.parametrize(
    "word",
    ["ALL L1", "no", "12", "", "a: b", "x #y", 'say "x"', "two\nlines", "[x]", "null", "Ä-1"],
)
def test_the_lines_to_add_are_yaml(word: str) -> None:
    lines = lines_to_add({word: 3, "pre": 1}, Vocabulary(FOUR_CLASS))
    assert yaml.safe_load("\n".join(lines))["labels"].keys() == {word, "pre"}


def test_spellings_of_one_word_are_one_line() -> None:
    lines = lines_to_add({"all-l1": 2, "ALL L1": 3, "pre_b": 4}, Vocabulary(("Pre: B", "no")))
    assert lines[1].startswith("  ALL L1: null  # 5 images;")
    assert lines[2].startswith('  pre_b: "Pre: B"  # 4 images;')
    assert len(lines) == 3


def test_of_many_words_the_rest_is_counted() -> None:
    lines = lines_to_add({f"word {n}": n for n in range(1, 61)}, Vocabulary(FOUR_CLASS), most=50)
    assert lines[1].startswith("  word 60: null  # 60 images;")
    assert lines[-1] == "  # and 10 more words"
    assert len(lines) == 52


def test_own_terms() -> None:
    assert [own_terms(word, OWN) for word in ("all l1", "UNCLEAR", "Pre")] == ["Early", None, "Pre"]


def test_a_study_shows_what_stands_for_its_classes() -> None:
    labels = LabelSet(name="binary", classes=BINARY, collapse=COLLAPSE)
    assert list(labels.told()) == ["normal (Benign)", "ALL (Early, Pre, Pro)"]
    assert list(LabelSet(name="two", classes=("a", "b")).told()) == ["a", "b"]


@pytest.mark.parametrize(
    ("classes", "collapse", "problem"),
    [
        (("ALL", "all"), {}, "a class is named twice"),
        (("L-1", "L1"), {}, "a class is named twice"),
        (BINARY, {"Pre": "Leukaemia"}, "Leukaemia is none of the classes"),
        (BINARY, {"normal": "ALL"}, "normal is a class itself"),
        (BINARY, {"Pre B": "ALL", "pre-b": "normal"}, "a label is named twice"),
    ],
)
def test_a_collapse_that_contradicts_itself_is_refused(
    classes: tuple[str, ...], collapse: dict[str, str], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        LabelSet(name="x", classes=classes, collapse=collapse)
