from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from client.data.cache import ActivationCache
from client.part_store import PartStore
from client.site import Bench, Site, open_cache
from client.site_config import Cache, Images, Numerics, SiteConfig
from common.digests import digest_arrays
from common.errors import DataError, RequestRefused
from common.model.initial import build_branches
from common.model.network import trained_arrays
from common.updates.coding import fed_back
from common.updates.differences import apply
from common.wire import Request
from tests.support.exchanges import STUDY, request
from tests.support.small import small_study

Arrays = dict[str, NDArray[Any]]
HEADS: Arrays = {"bias": np.zeros(3, np.float32)}
NEWER: Arrays = {"bias": np.ones(3, np.float32)}
TAILS: Arrays = {"w": np.eye(2, dtype=np.float32)}


def asking(named: dict[str, Arrays], travelling: tuple[str, ...] = ()) -> Request:
    asked = request(parts={name: digest_arrays(arrays) for name, arrays in named.items()})
    return replace(asked, arrays={name: named[name] for name in travelling})


def config(folder: Path) -> SiteConfig:
    return SiteConfig(
        name="north",
        images=Images(manifest=folder / "manifest.csv"),
        state=folder / "state",
        cache=Cache(folder=folder / "cache"),
        numerics=Numerics(),
    )


def test_a_new_site_asks_for_every_part_that_did_not_travel() -> None:
    assert PartStore().take(asking({"heads": HEADS, "tails": TAILS})) == ["heads", "tails"]
    assert PartStore().take(asking({"heads": HEADS, "tails": TAILS}, ("tails",))) == ["heads"]
    assert PartStore().take(request(parts={})) == []


def test_parts_that_came_once_are_held() -> None:
    store = PartStore()
    assert store.take(asking({"heads": HEADS, "tails": TAILS}, ("heads", "tails"))) == []
    assert store.take(asking({"heads": HEADS, "tails": TAILS})) == []
    assert store["heads"] is HEADS
    assert store["tails"] is TAILS


def test_a_newer_part_of_the_same_name_takes_the_olds_place() -> None:
    store = PartStore()
    store.take(asking({"heads": HEADS, "tails": TAILS}, ("heads", "tails")))
    assert store.take(asking({"heads": NEWER, "tails": TAILS})) == ["heads"]
    assert store["heads"] is HEADS  # until the newer one travels
    assert store.take(asking({"heads": NEWER, "tails": TAILS}, ("heads",))) == []
    assert store["heads"] is NEWER
    assert store.take(asking({"heads": HEADS})) == ["heads"]


def stepping(change: float, spoil: float = 0.0) -> tuple[Request, Arrays]:
    """Ask for the step from HEADS, and say where it leads."""
    moved = {"bias": np.full(3, change, np.float32)}
    coded, read, _ = fed_back(moved, {}, "int8", 1.0)
    after = apply(HEADS, read)
    asked = request(parts={"heads": digest_arrays(after)})
    sent = coded | {"scales": coded["scales"] + np.float16(spoil)}
    return replace(asked, arrays={"heads": sent}, since={"heads": digest_arrays(HEADS)}), after


def test_a_step_leads_from_what_is_held_to_what_is_named() -> None:
    store = PartStore()
    asked, after = stepping(0.3)
    assert store.take(asked) == ["heads"]  # there is nothing to step from
    store.take(asking({"heads": HEADS}, ("heads",)))
    assert store.take(asked) == []
    assert digest_arrays(store["heads"]) == digest_arrays(after)
    assert store.take(asked) == []  # asked again, it is there


@pytest.mark.parametrize("spoil", [0.5, np.nan])
def test_a_step_that_leads_elsewhere_is_not_taken(spoil: float) -> None:
    store = PartStore()
    store.take(asking({"heads": HEADS}, ("heads",)))
    assert store.take(stepping(0.3, spoil)[0]) == ["heads"]
    assert store["heads"] is HEADS
    store.take(asking({"heads": NEWER}, ("heads",)))
    assert store.take(stepping(0.3)[0]) == ["heads"]  # it starts from another part


def test_a_site_answers_for_its_own_approved_studies_alone(tmp_path: Path) -> None:
    other = small_study()
    site = Site(config(tmp_path), {STUDY.digest: STUDY, other.digest: other})
    assert site.study(request()) is STUDY
    assert site.study(request(study=other.digest)) is other
    with pytest.raises(RequestRefused, match="for site south, this is north") as caught:
        site.study(request(site="south"))
    caught.match("To fix: compare the site names")
    changed = STUDY.model_copy(update={"seed": 9})
    with pytest.raises(RequestRefused, match=f"study {changed.digest[:12]} is not approved"):
        site.study(request(study=changed.digest))


def test_what_a_study_needs_is_kept_warm(tmp_path: Path) -> None:
    site = Site(config(tmp_path), {STUDY.digest: STUDY})
    assert site.bench(STUDY) is site.bench(STUDY.model_copy())
    assert site.bench(STUDY) is not site.bench(STUDY.model_copy(update={"seed": 9}))


def test_two_processes_do_not_work_with_one_sites_cache(tmp_path: Path) -> None:
    cache = open_cache(config(tmp_path))
    assert cache.limit_bytes == 20_000_000_000
    with pytest.raises(DataError, match="another process"):
        Site(config(tmp_path), {})
    Site(config(tmp_path), {}, cache=cache)


def test_a_bench_loads_what_a_request_names_and_no_more(tmp_path: Path) -> None:
    study = small_study()
    cache = ActivationCache(tmp_path / "cache", 10**6)
    bench = Bench(study, config(tmp_path), build_branches, cache)
    before = {name: trained_arrays(bench.branches, name) for name in ("tails", "heads")}
    parts = {
        "heads": {name: array + 2 for name, array in before["heads"].items()},
        "tails": {name: array + 1 for name, array in before["tails"].items()},
        "fusion": {"h1.weight": np.ones((2, 2), np.float32)},  # of no branch
    }
    store = PartStore()
    store.take(asking(parts, tuple(parts)))
    bench.load(store, asking({name: parts[name] for name in ("heads", "fusion")}))
    for name, expected in (("heads", parts["heads"]), ("tails", before["tails"])):
        found = trained_arrays(bench.branches, name)
        assert digest_arrays(found) == digest_arrays(expected)
    assert bench.extractor.numerics == Numerics()
    assert not (tmp_path / "state").exists()  # nothing was measured


def test_one_value_is_remembered(tmp_path: Path) -> None:
    bench = Bench(
        STUDY, config(tmp_path), build_branches, ActivationCache(tmp_path / "cache", 10**6)
    )
    computed: list[int] = []

    def compute(value: int) -> NDArray[np.uint8]:
        computed.append(value)
        return np.full(2, value, np.uint8)

    for key in (1, 1, 2, 2, 1):
        found = bench.remembered(("rows", key), lambda key=key: compute(key))  # type: ignore[misc]
        np.testing.assert_array_equal(found, [key, key])
    assert computed == [1, 2, 1]
