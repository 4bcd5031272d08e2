"""What is shown and written of a comparison."""

import io
import re
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from rich.console import Console

from client.data.manifest import Example
from common.asks import EVALUATED
from common.errors import ConfigError, RunStopped
from simulations.comparing.account import ArmAccount, Comparison, Contrast, Told
from simulations.comparing.compare import Protocol
from simulations.comparing.outcome import page, write_outcome
from simulations.comparing.progress import Pace, TrialsWatch
from simulations.comparing.votes import Ballot
from simulations.comparing.words import markdown, screen


def told(mean: float) -> Told:
    return Told(
        mean=mean, interval=(mean - 0.02, mean + 0.02), by_seed=(mean,), by_fold=((mean, mean),),
        mean_of_folds=mean,
    )  # fmt: skip


def contrast(b: str, mean: float, half: float) -> Contrast:
    return Contrast(
        a="federated", b=b, metric="macro_f1", mean=mean, interval=(mean - half, mean + half),
        distinguishable=abs(mean) > half,
    )  # fmt: skip


def account(mean: float, *, is_model: bool, seconds: float = 12.0) -> ArmAccount:
    softmax = {"macro_f1": told(mean - 0.01), "accuracy": told(mean)} if is_model else {}
    return ArmAccount(macro_f1=told(mean), accuracy=told(mean), softmax=softmax, seconds=seconds)


FOUND = Comparison(
    name="small", synthetic=True, part="test", folds=(1, 2), of_folds=2, seeds=1, same_folds=False,
    images=96, groups=48, kept_together=("patient",), replicates=2000,
    arms={
        "federated": account(0.95, is_model=True, seconds=46 * 60 + 59),
        "white-balance/local_only.hospital-of-the-south": account(0.9, is_model=True),
        "linear_probe": account(0.94, is_model=False),
        "<b>best": account(0.99, is_model=True),
    },
    differences=(
        contrast("white-balance/local_only.hospital-of-the-south", 0.05, 0.02),
        contrast("linear_probe", 0.01, 0.02),
        contrast("<b>best", -0.04, 0.01),
    ),
    settings={"<b>best": {"network.h2": "64"}}, study={"name": "small"}, seconds=99.0,
)  # fmt: skip


def test_the_table_fits_a_terminal_and_says_what_differs() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(screen(FOUND))
    shown = out.getvalue()
    assert max(map(len, shown.splitlines())) <= 80
    for text in ("federated", "linear_probe", "[0.930, 0.970]", "+0.010", "not distinguishable",
                 "lower", "higher", "12.0 s", "46 min", " 59 s",
                 "96 images in 48 groups"):  # fmt: skip
        assert text in shown
    assert "hospital-of-the-south" in re.sub(r"[\s]", "", shown) or "hospital" in shown


def test_markdown_tables_are_whole() -> None:
    text = markdown(FOUND)
    assert "Generated images" in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        widths = {line.count("|") for line in table.splitlines()}
        assert len(widths) == 1
    assert "| linear_probe | 0.940 [0.920, 0.960] |" in text
    assert "+0.010 [\N{MINUS SIGN}0.010, +0.030] | not distinguishable |" in text
    assert "| <b>best | network.h2 | 64 |" in text


def test_the_page_needs_nothing_and_escapes_names() -> None:
    text = page(FOUND)
    assert "<b>best" not in text
    assert "&lt;b&gt;best" in text
    assert not re.search(r"(src|href)=\"(?!#)", text)
    assert text.count("<svg") == 1
    validation = page(FOUND.model_copy(update={"part": "validation", "synthetic": False}))
    assert "Validation images." in validation
    assert "Synthetic images." not in validation


def test_files_of_validation_figures_have_names_of_their_own(tmp_path: Path) -> None:
    names = [path.name for path in write_outcome(FOUND, tmp_path)]
    assert names == [f"compare.{kind}" for kind in ("json", "md", "html", "png", "svg")]
    other = write_outcome(FOUND.model_copy(update={"part": "validation"}), tmp_path)
    assert {path.stem for path in other} == {"compare-validation"}
    assert Comparison.model_validate_json((tmp_path / "compare.json").read_text()) == FOUND
    image = cv2.imread(str(tmp_path / "compare.png"))
    assert image is not None
    assert image[0, 0].tolist() == [255, 255, 255]
    drawing = (tmp_path / "compare.svg").read_text()
    ElementTree.fromstring(drawing)
    assert "#0102" not in drawing, "a colour that only the page knows"


def test_time_left_is_judged_by_arm() -> None:
    pace = Pace()
    assert pace.left(["federated"]) is None
    pace.took("federated", 10)
    pace.took("federated", 20)
    pace.took("colour_only", 1)
    assert pace.left(["federated", "colour_only", "never seen"]) == 15 + 1 + 8


def test_a_terminal_shows_one_bar_over_all_trials() -> None:
    out = io.StringIO()
    console = Console(file=out, width=160, force_terminal=True, color_system=None)
    with TrialsWatch(console) as watch:
        watch.plan(["federated", "pooled"], [("federated", 8.0)])
        watch.begin("fold 2, seed 1")
        watch.round("federated: fusion", 2, 6)
        watch.done("federated", 8.0)
    shown = out.getvalue()
    for text in ("1 of 3 trials were made before.", "fold 2, seed 1, federated: fusion 2 of 6",
                 "2 of 3 trials", "about 8 s left"):  # fmt: skip
        assert text in shown


def test_predictions_are_kept_by_path_and_a_lost_site_is_told(tmp_path: Path) -> None:
    rows = [{"path": "a/0.png"}, {"path": "a\\1.png", "source": "b\\1.png"}]
    ballot = Ballot(tmp_path / "run", tmp_path, rows)
    ballot.arm = "federated"
    examples = [Example(tmp_path / "a" / f"{i}.png", 0, "g") for i in range(2)]
    likely = np.log(np.array([[0.1, 0.9], [0.8, 0.2]]))
    for part in EVALUATED:
        ballot.take("north", part, examples, {"booster": likely, "softmax": -likely})
        ballot.take("south", part, [], {"booster": likely[:0], "softmax": likely[:0]})
    votes = ballot.counted(("north", "south"), 3.0)
    assert votes.of("test") == {"a/0.png": 1, "b/1.png": 0}
    assert votes.predicted["validation"]["softmax"] == {"a/0.png": 0, "b/1.png": 1}
    with pytest.raises(RunStopped, match="arm federated lost site west"):
        ballot.counted(("north", "west"), 3.0)


def test_a_fold_that_is_not_there_is_told() -> None:
    assert Protocol(folds=5, only=(4, 2, 2)).numbers == (2, 4)
    with pytest.raises(ConfigError, match="there is no fold 6 of 5"):
        _ = Protocol(folds=5, only=(6,)).numbers
