import csv
from collections import Counter
from pathlib import Path

import pytest

from client.data.cache import ActivationCache
from client.site_config import Numerics
from common.asks import CensusAsk, CensusTold
from common.digests import digest_bytes
from common.log_head import split_head
from common.study.phases import FusionPhase
from common.study.schema import LabelSet, Study
from common.wire import Request, Step, decode_reply, encode_request
from simulations.scenario import POOLED
from simulations.synthetic import SiteShare, SyntheticSettings, write_dataset
from simulations.virtual_sites import VirtualSites
from tests.support.small import small_study

STUDY = small_study()
POOLED_STUDY = small_study(sites=(POOLED,))
SETTINGS = SyntheticSettings(
    sites=(
        SiteShare(name="north", train=(2, 1, 1, 1)),
        SiteShare(name="south", train=(1, 1, 1, 3)),
    ),
    test=1, fields=2, size=48,
)  # fmt: skip


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "smears", SETTINGS)


@pytest.fixture
def virtual(tmp_path: Path, manifest: Path) -> VirtualSites:
    return VirtualSites(
        tmp_path / "run", manifest, manifest.parent, None,
        ActivationCache(tmp_path / "cache", 10**8), Numerics(), lambda site, done, of: None,
    )  # fmt: skip


def census(virtual: VirtualSites, name: str, study: Study) -> CensusTold:
    site = virtual.site(name, [STUDY, POOLED_STUDY])
    handle = virtual.nodes({name: site})[name]
    step = Step(study=study.digest, run="r", phase="census", round=1, exchange=0, site=name)
    head, body = split_head(handle(encode_request(Request(step, CensusAsk()))))
    assert head == site.door.log.head
    assert [line.sha256 for line in site.door.log][head.lines - 1] == digest_bytes(body)
    reply = decode_reply(body)
    assert reply.status == "done", reply.problem
    assert isinstance(reply.told, CensusTold)
    return reply.told


def counted(manifest: Path, *sites: str) -> dict[str, dict[str, int]]:
    """Count the manifest's own lines, zeros included."""
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["site"] in sites]
    counts = Counter((row["split"], row["label"]) for row in rows)
    return {
        part: {name: counts[part, name] for name in STUDY.labels.classes}
        for part in ("train", "validation", "test")
    }


def test_each_site_holds_its_own_images_and_the_pooled_one_all(
    virtual: VirtualSites, manifest: Path
) -> None:
    for name in ("north", "south"):
        told = census(virtual, name, STUDY)
        assert told.examples == counted(manifest, name)
        assert told.excluded == {}
        assert not any(told.withheld.values())  # public images: nothing to withhold
    pooled = census(virtual, POOLED, POOLED_STUDY)
    assert pooled.examples == counted(manifest, "north", "south")
    assert pooled.groups["train"] == 5 + 6
    assert pooled.numerics == Numerics().model_dump()


def test_sites_keep_records_of_their_own_and_share_one_cache(
    virtual: VirtualSites, tmp_path: Path
) -> None:
    sites = {name: virtual.site(name, [STUDY]) for name in ("north", "south")}
    for name, site in sites.items():
        assert site.config.state == tmp_path / "run" / "sites" / name
        assert site.bench(STUDY).cache is virtual.cache
        assert site.approved == {STUDY.digest: STUDY}


def test_branches_are_built_once_for_what_they_depend_on(virtual: VirtualSites) -> None:
    branches = virtual.branches(STUDY, None)
    phases = tuple(FusionPhase(rounds=1) if p.name == "fusion" else p for p in STUDY.phases)
    for same in (POOLED_STUDY, STUDY.model_copy(update={"phases": phases, "name": "other"})):
        assert same.digest != STUDY.digest
        assert virtual.branches(same, None) is branches
    two = LabelSet(name="two", classes=("a", "b"))
    deeper = STUDY.network.backbones[0].model_copy(update={"cut": "stages.1"})
    for other in (
        small_study(seed=2), small_study(labels=two), small_study(size=96),
        small_study(backbones=[deeper]),
    ):  # fmt: skip
        assert virtual.branches(other, None) is not branches
    assert virtual.branches(small_study(labels=two), None)[0].head.out_features == 2


def test_the_watch_is_told_who_works(tmp_path: Path, manifest: Path) -> None:
    told: list[tuple[str, int, int]] = []
    virtual = VirtualSites(
        tmp_path / "run", manifest, manifest.parent, None,
        ActivationCache(tmp_path / "cache", 10**8), Numerics(),
        lambda site, done, of: told.append((site, done, of)),
    )  # fmt: skip
    bench = virtual.site("south", [STUDY]).bench(STUDY)
    n = sum(counted(manifest, "south")["train"].values())
    bench.extractor.fill(bench.examples("train"), 2)
    assert told[-1] == ("south's views", 2 * n, 2 * n)
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})
