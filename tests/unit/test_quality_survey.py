"""A survey of files: what is kept between runs, what leads out, and what is written for eyes."""

import json
import os
import shutil
import stat
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from client.census import told_exclusions
from client.cli.main import main
from client.data.manifest import Example
from client.data.remembered import save
from client.doctor.quality import quality_line
from client.holdings import examine
from client.pulse import no_pulse
from client.quality.measures import measure
from client.quality.sheet import worst
from client.quality.survey import leave_out, measures_of, survey
from client.site_config import Cache, Images, Quality, SiteConfig
from common.digests import digest_file
from common.errors import DataError
from tests.support.fields import SPOILT, draw
from tests.support.small import small_study

CLASSES = ("Benign", "Early", "Pre", "Pro")
FAULTS = {"blur": 2, "bar": 3, "yellow light": 1}
SOUND = 22


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sound images, named by number, and spoilt ones, named by what was done."""
    place = tmp_path_factory.mktemp("fields")
    for number in range(SOUND):
        cv2.imwrite(str(place / f"{number:02}.png"), draw(number)[..., ::-1])
    for how, count in FAULTS.items():
        for number in range(count):
            image = SPOILT[how][1](100 + number)
            cv2.imwrite(str(place / f"{how} {number}.png"), image[..., ::-1])
    rows = [f"{path.name},{CLASSES[i % 4]},p{i}" for i, path in enumerate(sorted(place.iterdir()))]
    (place / "manifest.csv").write_text("path,label,patient\n" + "\n".join(rows) + "\n")
    return place


@pytest.fixture(scope="module")
def examples(folder: Path) -> Sequence[Example]:
    return [
        Example(path, 0, path.name, digest=digest_file(path))
        for path in sorted(folder.glob("*.png"))
    ]


@pytest.fixture(scope="module")
def measured(examples: Sequence[Example], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the measures of all of them."""
    cache = tmp_path_factory.mktemp("measured") / "cache"
    measures_of(examples, cache)
    return cache


def site(folder: Path, state: Path, quality: Quality) -> SiteConfig:
    return SiteConfig(
        name="north", images=Images(manifest=folder / "manifest.csv"), state=state / "state",
        cache=Cache(folder=state / "cache"), quality=quality,
    )  # fmt: skip


def test_faults_are_counted_and_found_again_from_the_cache(
    folder: Path, examples: Sequence[Example], tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    cache = tmp_path / "cache"
    found = survey(examples, Quality(), cache, progress=lambda *told: seen.append(told))
    assert {reason: n for reason, n in found.counts.items() if n} == {
        "out of focus": 2, "burnt-in mark": 3, "colour cast": 1,
    }  # fmt: skip
    flagged = {e.image.name for e, flags in zip(examples, found.flags, strict=True) if flags}
    assert flagged == {f"{how} {n}.png" for how, count in FAULTS.items() for n in range(count)}
    assert (seen[0], seen[-1]) == ((0, len(examples)), (len(examples), len(examples)))

    gone = [Example(tmp_path / "gone.png", 0, "", digest=e.digest) for e in examples]
    assert survey(gone, Quality(), cache).measured == found.measured
    (store,) = cache.iterdir()
    store.write_bytes(store.read_bytes().replace(b"blur", b"blot", 1))
    assert survey(examples, Quality(), cache).measured == found.measured


def test_a_damaged_entry_is_measured_anew(examples: Sequence[Example], tmp_path: Path) -> None:
    (one,) = measures_of(examples[:1], tmp_path)
    (store,) = tmp_path.iterdir()
    save(store, {examples[0].digest: {"blur": "sharp"}})
    assert measures_of(examples[:1], tmp_path) == [one]


def test_an_interruption_keeps_what_was_measured(
    examples: Sequence[Example], tmp_path: Path
) -> None:
    calls = 0

    def stop() -> None:
        nonlocal calls
        calls += 1
        if calls == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measures_of(examples, tmp_path, stop)
    seen: list[tuple[int, int]] = []
    measures_of(examples, tmp_path, progress=lambda *told: seen.append(told))
    assert seen[0][0] > 0


def test_a_check_keeps_nothing(folder: Path, examples: Sequence[Example], tmp_path: Path) -> None:
    config = site(folder, tmp_path, Quality(action="leave_out"))
    line = quality_line(config, examples)
    assert (line.verdict, line.text) == (
        "warning",
        "of 28 images: 2 out of focus, 3 burnt-in mark, 1 colour cast; 3 are left out of every "
        "study",
    )
    assert not (tmp_path / "cache").exists()
    sound = [e for e in examples if e.image.stem.isdigit()][:3]
    assert quality_line(config, sound).verdict == "ok"


def test_an_image_that_is_gone_is_told_without_its_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read any more") as caught:
        measures_of([Example(tmp_path / "p17.png", 0, "", digest="0")])
    assert "p17" not in str(caught.value)
    (tmp_path / "p17.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="cannot be read any more"):
        measures_of([Example(tmp_path / "p17.png", 0, "", digest="0")])


def test_large_images_are_measured(tmp_path: Path) -> None:
    image = cv2.resize(draw(1), (4100, 4100))
    cv2.imwrite(str(tmp_path / "large.jpg"), image[..., ::-1])
    (large,) = measures_of([Example(tmp_path / "large.jpg", 0, "", digest="0")])
    np.testing.assert_allclose(large.stain.nuclei, measure(draw(1)).stain.nuclei, rtol=0.1)


def test_the_action_decides_what_is_left_out(examples: Sequence[Example], measured: Path) -> None:
    def left(**settings: object) -> tuple[int, Counter[str]]:
        fit, unfit = leave_out(examples, Quality.model_validate(settings), measured, no_pulse)
        return len(fit), unfit

    assert left(action="report") == (28, Counter())
    assert left(action="leave_out") == (25, Counter({"out of focus": 2, "colour cast": 1}))
    assert left(action="leave_out", leave_out=("mark",)) == (25, Counter({"burnt-in mark": 3}))


def test_a_study_counts_what_quality_left_out(folder: Path, measured: Path, tmp_path: Path) -> None:
    shutil.copytree(measured, tmp_path / "cache")
    held = examine(site(folder, tmp_path, Quality()), small_study())
    assert held.excluded == {}
    assert sum(map(len, held.parts.values())) == 28
    held = examine(site(folder, tmp_path, Quality(action="leave_out")), small_study())
    assert held.excluded == {"out of focus": 2, "colour cast": 1}
    assert sum(map(len, held.parts.values())) == 25


def test_few_images_of_a_fault_are_not_told() -> None:
    excluded = {"out of focus": 7, "colour cast": 4, "exact duplicate": 1}
    assert told_exclusions(excluded, 5) == {"out of focus": 7, "exact duplicate": 1}
    assert told_exclusions(excluded, 0) == excluded


def test_the_sheet_shows_every_reason_before_a_second_of_any(
    examples: Sequence[Example], measured: Path
) -> None:
    found = survey(examples, Quality(), measured)
    assert {tile.lines[0].partition(":")[0] for tile in worst(found, 3)} == {
        "out of focus", "burnt-in mark", "colour cast",
    }  # fmt: skip
    assert len(worst(found, 5)) == 4  # of the marks no more than their share
    assert len(worst(found, 48)) == 6


def test_the_command_works_on_a_manifest_alone(folder: Path, tmp_path: Path) -> None:
    sheet, listed = tmp_path / "worst.png", tmp_path / "worst.json"
    done = CliRunner().invoke(
        main,
        ["quality", str(folder / "manifest.csv"), "--sheet", str(sheet), "--json", str(listed)],
        env={"COLUMNS": "200"},
    )
    assert done.exit_code == 0, done.output
    assert "3 of 28 images look unfit; 3 carry a burnt-in mark" in done.output
    assert "must stay here" in done.output
    for file in (sheet, listed):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert cv2.imread(str(sheet)) is not None
    told = json.loads(listed.read_text())
    assert told["reasons"]["out of focus"]["images"] == 2
    assert {one["path"] for one in told["flagged"]} == {
        f"{how} {n}.png" for how, count in FAULTS.items() for n in range(count)
    }


def test_the_command_works_on_a_site(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "images")
    (tmp_path / "images" / "00.png").write_bytes(b"no image")
    (tmp_path / "site.yaml").write_text(
        "name: north\nimages: {manifest: images/manifest.csv}\nstate: state\n"
        "cache: {folder: cache}\nquality: {most_blur: 0.99, action: leave_out}\n"
    )
    done = CliRunner().invoke(main, ["quality", "--site", str(tmp_path)], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "1 further images cannot be decoded" in done.output
    assert "1 of 27 images look unfit" in done.output
    sheet = tmp_path / "state" / "quality.png"
    assert stat.S_IMODE(sheet.stat().st_mode) == 0o600
    assert sheet.stat().st_uid == os.geteuid()
    assert len(list((tmp_path / "cache").glob("quality-*.json"))) == 1
