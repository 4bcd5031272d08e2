import pickle
from pathlib import Path

import numpy as np
import pytest

from client.data.cache import ActivationCache
from client.site_config import Numerics
from common.asks import CensusAsk
from common.digests import digest_arrays
from common.log_head import split_head
from common.wire import Reply, Request, Step, decode_reply, decode_request, encode_request
from simulations.scenario import POOLED
from simulations.seat import VirtualSeat, WholeRequests
from simulations.synthetic import SiteShare, SyntheticSettings, write_dataset
from simulations.virtual_sites import VirtualSites
from tests.support.small import small_study

STUDY = small_study()
SETTINGS = SyntheticSettings(
    sites=(
        SiteShare(name="north", train=(1, 1, 1, 1)),
        SiteShare(name="south", train=(1, 1, 1, 1)),
    ),
    test=1, fields=1, size=48,
)  # fmt: skip


@pytest.fixture
def virtual(tmp_path: Path) -> VirtualSites:
    manifest = write_dataset(tmp_path / "smears", SETTINGS)
    return VirtualSites(
        tmp_path / "run", manifest, manifest.parent, None,
        ActivationCache(tmp_path / "cache", 8 * 10**9), Numerics(), lambda site, done, of: None,
        apart=STUDY.sites,
    )  # fmt: skip


def asked(site: str, run: int) -> bytes:
    step = Step(
        study=STUDY.digest, run=f"r{run}", phase="census", round=1, exchange=0, site=site
    )  # fmt: skip
    return encode_request(Request(step, CensusAsk()))


def told(data: bytes) -> tuple[int, Reply]:
    head, body = split_head(data)
    return head.lines, decode_reply(body)


def test_any_seat_answers_for_a_site_and_none_holds_it(virtual: VirtualSites) -> None:
    configs = {name: virtual.config(name) for name in STUDY.sites}
    plan = VirtualSeat(configs, (STUDY,))
    first, second = (pickle.loads(pickle.dumps(plan))() for _ in range(2))
    for line, answer in enumerate((first, second, first), start=1):
        lines, reply = told(answer("north", asked("north", line)))
        assert (lines, reply.status, reply.problem) == (line, "done", "")
    assert told(second("south", asked("south", 1)))[0] == 1  # a log of its own
    virtual.site("north", [STUDY]).close()  # its cache is free


def test_a_request_is_made_whole_with_what_travelled_before() -> None:
    parts = {"tails": {"w": np.arange(3.0)}, "heads": {"v": np.ones(2)}}
    digests = {name: digest_arrays(arrays) for name, arrays in parts.items()}
    step = Step(study=STUDY.digest, run="r", phase="census", round=1, exchange=0, site="north")
    bare = encode_request(Request(step, CensusAsk(), digests))
    sent = {name: encode_request(Request(step, CensusAsk(), digests, {name: parts[name]}))
            for name in parts}  # fmt: skip
    whole = WholeRequests()
    assert whole(bare) == bare  # so the site calls for both
    assert whole(sent["heads"]) == sent["heads"]
    for data in (sent["tails"], bare, sent["heads"]):
        found = decode_request(whole(data))
        assert {name: digest_arrays(arrays) for name, arrays in found.arrays.items()} == digests
        assert found.digest == decode_request(bare).digest
    newer = {"tails": {"w": np.zeros(3)}}
    other = digests | {"tails": digest_arrays(newer["tails"])}
    replaced = encode_request(Request(step, CensusAsk(), other, newer))
    assert set(decode_request(whole(replaced)).arrays) == {"tails", "heads"}
    assert whole(bare) == bare  # what it was sent is there no more


def test_sites_apart_share_out_the_disk(virtual: VirtualSites, tmp_path: Path) -> None:
    caches = {name: virtual.config(name).cache for name in (*STUDY.sites, POOLED)}
    assert {name: cache.limit_gb for name, cache in caches.items()} == {
        "north": 2.0, "south": 2.0, POOLED: 4.0,
    }  # fmt: skip
    for name, cache in caches.items():
        assert cache.folder == tmp_path / "cache" / "sites" / name


def test_sites_of_one_process_keep_the_arrays_that_came_down_once(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path / "smears", SETTINGS)
    virtual = VirtualSites(
        tmp_path / "run", manifest, manifest.parent, None,
        ActivationCache(tmp_path / "cache", 10**8), Numerics(), lambda site, done, of: None,
    )  # fmt: skip
    north, south = (virtual.site(name, [STUDY]) for name in STUDY.sites)
    north.parts.held["tails"] = ("a" * 64, {"w": np.ones(3)})
    assert south.parts["tails"] is north.parts["tails"]
