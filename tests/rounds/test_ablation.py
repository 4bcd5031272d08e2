import csv
import json
from pathlib import Path
from runpy import run_path

import cv2
import pytest

from common.imaging.synthetic import calibration_smears

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CLASSES = ("Benign", "Early", "Pre", "Pro")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 32 generated smears of 16 patients."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for number, image in enumerate(calibration_smears(3, 32, 80)):
        cv2.imwrite(str(folder / f"{number:02}.png"), image[..., ::-1])
        rows.append((f"{number:02}.png", CLASSES[number % 4], f"P{number // 8 * 4 + number % 4}"))
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "patient"), *rows])
    return folder


class Bench:
    """The two programs on the small scenario's network, with a folder of their own."""

    def __init__(self, data: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data = data
        self.out = out
        self.capsys = capsys

    def __call__(self, name: str, *options: str) -> str:
        main = run_path(str(BENCHMARKS / f"{name}.py"))["main"]
        main([
            "--data", str(self.data), "--scenario", "synthetic", "--folds", "2",
            "--divisions", "1", "--out", str(self.out / f"{name}.json"),
            "--cache", str(self.out / "cache"), *options,
        ])  # fmt: skip
        return self.capsys.readouterr().out


@pytest.fixture
def bench(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(data, tmp_path, capsys)


@pytest.mark.slow
def test_an_ablation_measures_its_arms_once(bench: Bench) -> None:
    arms = ["camsr", "stain jitter", "balanced by weights"]
    first = bench("preparation", "--arms", *arms)
    assert "32 images, 16 groups, 2 folds, 1 divisions" in first
    kept = json.loads((bench.out / "preparation.json").read_text())["arms"]
    assert list(kept) == ["plain", *arms]
    assert {len(arm["predicted"][0]) for arm in kept.values()} == {32}
    assert bench("preparation", "--arms", *arms) == first, "seconds would differ if done anew"
    confirmed = bench("preparation", "--confirm", "plain", "default", "--tail-rounds", "1")
    assert confirmed.count("| plain |") == confirmed.count("| default |") == 1


@pytest.mark.slow
def test_shortcuts_are_measured_on_honest_and_on_leaky_folds(bench: Bench) -> None:
    shown = bench("shortcuts")
    lines = [line.split(" | ")[0] for line in shown.splitlines() if line.startswith("| ")]
    assert len(lines) == len(set(lines)) == 20
    assert {"| background, prepared", "| background, prepared, leaky"} < set(lines)
    assert {"| colour, as they are", "| corner, prepared"} < set(lines)
    assert bench("shortcuts") == shown


@pytest.mark.slow
@pytest.mark.parametrize("program", ["preparation", "shortcuts"])
def test_a_sheet_shows_images_and_measures_nothing(program: str, bench: Bench) -> None:
    bench(program, "--sheet", str(bench.out / "sheet.png"))
    sheet = cv2.imread(str(bench.out / "sheet.png"))
    assert sheet is not None
    assert [path.name for path in bench.out.iterdir()] == ["sheet.png"]


@pytest.mark.slow
def test_an_arm_that_does_not_exist_is_told(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        bench("preparation", "--arms", "camera")
    assert "no such arm: camera; there are: plain, crop" in capsys.readouterr().err
