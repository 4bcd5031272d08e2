"""Checks of the machine."""

from pathlib import Path

import pytest

from client.activations import Extractor
from client.data.cache import ActivationCache
from client.doctor import machine
from client.site_config import Cache, Images, Limits, Numerics, SiteConfig
from common.asks import Part
from common.model.initial import build_branches
from common.study.network import Backbone, Network
from common.study.phases import BackbonesPhase, Phase
from tests.support.shelves import needed_bytes
from tests.support.small import PAIR, small_study, write_smears

STUDY = small_study()
PARTS: dict[Part, int] = {"train": 6, "validation": 2, "test": 1}


def site(folder: Path, *, limit_gb: float = 20.0) -> SiteConfig:
    return SiteConfig(
        name="north", images=Images(manifest=folder / "m.csv"), state=folder / "state",
        cache=Cache(folder=folder / "cache", limit_gb=limit_gb), numerics=Numerics(),
    )  # fmt: skip


def test_the_cache_needs_what_a_study_really_puts_there(tmp_path: Path) -> None:
    examples = write_smears(tmp_path, sum(PARTS.values()))
    cache = ActivationCache(tmp_path / "cache", 10**9)
    extractor = Extractor(STUDY, build_branches(STUDY, None), cache, Numerics())
    views = STUDY.phase(BackbonesPhase).views
    for tails in ("first", "last"):
        extractor.features(examples[: PARTS["train"]], views, tails)
        extractor.features(examples[PARTS["train"] :], 1, tails)
    held = needed_bytes(tmp_path / "cache")
    cache.close()
    assert machine.cache_bytes(STUDY, PARTS, machine.chains(STUDY)) == held


def test_the_disk_and_the_limit_of_the_cache(tmp_path: Path) -> None:
    config = site(tmp_path, limit_gb=0.001)
    assert machine.disk_line(config, 10**6).verdict == "ok"
    over = machine.disk_line(config, 2 * 10**6)
    assert (over.verdict, "raise cache.limit_gb" in over.fix) == ("problem", True)
    vast = machine.disk_line(site(tmp_path, limit_gb=1e9), 10**17)
    assert (vast.verdict, "larger disk" in vast.fix) == ("problem", True)


def test_the_records_need_room(tmp_path: Path) -> None:
    assert machine.state_line(site(tmp_path)).verdict == "ok"
    vast = site(tmp_path).model_copy(update={"limits": Limits(largest_payload_mb=1e12)})
    assert machine.state_line(vast).verdict == "warning"


@pytest.mark.parametrize(
    ("total_kb", "free_kb", "verdict"),
    [(8_000_000, 4_000_000, "ok"), (8_000_000, 500_000, "warning"), (900_000, 800_000, "problem")],
)
def test_memory(tmp_path: Path, total_kb: int, free_kb: int, verdict: str) -> None:
    told = tmp_path / "meminfo"
    told.write_text(f"MemTotal: {total_kb} kB\nMemAvailable: {free_kb} kB\n", encoding="ascii")
    made = machine.chains(STUDY)
    assert machine.memory_line(made, told).verdict == verdict
    assert machine.memory_line(made, tmp_path / "absent").verdict == "ok"


def test_the_speed_is_measured_and_told_in_minutes(tmp_path: Path) -> None:
    device, speed = machine.speed_lines(STUDY, site(tmp_path), PARTS, machine.chains(STUDY))
    assert "computes in float32, channels first, 1 threads" in device.text
    assert speed.verdict == "ok"
    assert speed.text.startswith("fast: ")
    assert not (tmp_path / "state").exists(), "nothing is kept"


def test_a_measurement_that_was_damaged(tmp_path: Path) -> None:
    config = site(tmp_path).model_copy(update={"numerics": "auto"})
    config.state.mkdir()
    (config.state / "numerics.json").write_text("{", encoding="ascii")
    (line,) = machine.speed_lines(STUDY, config, PARTS, machine.chains(STUDY))
    assert (line.verdict, "numerics.json" in line.text) == ("problem", True)


@pytest.mark.parametrize(
    ("front_ms", "word", "verdict"),
    [(1.0, "fast", "ok"), (150.0, "medium", "ok"), (500.0, "slow", "warning")],
)
def test_speed_in_words(front_ms: float, word: str, verdict: str) -> None:
    many: dict[Part, int] = {"train": 5000, "validation": 1000, "test": 1000}
    line = machine.speed_line(STUDY, many, machine.Pace(front_ms, 1.0, Numerics()))
    assert (line.text.partition(":")[0], line.verdict) == (word, verdict)


def test_minutes_by_hand() -> None:
    phases: tuple[Phase, ...] = tuple(
        BackbonesPhase(views=2, tail_rounds=4, tail_epochs=3) if p.name == "backbones" else p
        for p in STUDY.phases
    )
    study = small_study(phases=phases)
    found = machine.Pace(front=600.0, tail=30.0, numerics=Numerics())
    # 15 views through the fronts; 72 steps of the tails, and 38 images forward only
    by_hand = (15 * 600 + 72 * 30 + (2 * 15 + 4 * 2) * 10) / 60_000
    assert machine.minutes(study, PARTS, found) == pytest.approx(by_hand)


def test_the_device_is_named(tmp_path: Path) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text("processor: 0\nmodel name\t: Some Processor\n", encoding="ascii")
    found = machine.Pace(1.0, 1.0, Numerics(precision="bfloat16", channels_last=True, threads=2))
    line = machine.device_line(found, told)
    assert line.text.startswith("Some Processor, ")
    assert "bfloat16, channels last, 2 threads" in line.text
    assert "does not name" in machine.device_line(found, tmp_path / "absent").text


def test_weights_that_are_here_or_not(tmp_path: Path) -> None:
    config = site(tmp_path).model_copy(update={"weights": tmp_path})
    assert [line.verdict for line in machine.weights_lines(STUDY, config)] == ["ok", "ok"]
    absent = small_study(network=Network(backbones=PAIR, weights="imagenet"))
    assert [line.verdict for line in machine.weights_lines(absent, config)] == ["problem"] * 2
    others = small_study(
        backbones=[PAIR[0].model_copy(update={"weights_digest": "0" * 64}), PAIR[1]]
    )
    first, second = machine.weights_lines(others, config)
    assert (first.verdict, "the study wants 000000000000" in first.text) == ("problem", True)
    assert (second.verdict, "the study names none" in second.text) == ("ok", True)
    (line,) = machine.weights_lines(small_study(weights="random"), config)
    assert line.verdict == "ok"


def test_a_cut_that_does_not_exist(tmp_path: Path) -> None:
    study = small_study(backbones=[Backbone(architecture="test_byobnet", cut="nowhere")])
    with pytest.raises(Exception, match="no stage 'nowhere'"):
        machine.chains(study)
