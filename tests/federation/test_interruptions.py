"""Worker and carrier ended at the worst moment: the request still gets the same bytes, once."""

import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from client.phases import handle
from client.relay import relay
from client.site import Site
from client.site_config import Cache
from common.log_head import split_head
from common.wire import Reply, decode_reply, encode_request
from common.worker_pb2 import Piece
from tests.support.coordinator import fit, signed, worker_study
from tests.support.processes import Process, wait_until
from tests.support.worker_process import Aside, WorkerSite, trains

pytestmark = pytest.mark.slow
LONG = worker_study("long", head_epochs=6000)
"""Its first round takes seconds, several times as many as it takes to look at it."""
ENDLESS = worker_study("endless", head_epochs=10**7)
_STOPS_S = 30.0
_RELAY = """\
import sys
import time
from pathlib import Path
from client.relay import relay
message, socket, go = map(Path, sys.argv[1:])
print("ready", flush=True)
while not go.exists():
    time.sleep(0.01)
message.with_suffix(".reply").write_bytes(relay(message.read_bytes(), socket))
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[WorkerSite]:
    site = WorkerSite(tmp_path / "site")
    site.approve(LONG)
    site.approve(ENDLESS, "endless.yaml")
    with site:
        yield site


def content(reply: Reply) -> tuple[object, ...]:
    """Return what is not a fact about a host."""
    arrays = {name: (a.dtype, a.shape, a.tobytes()) for name, a in reply.arrays.items()}
    return reply.step, reply.request, reply.status, reply.told, arrays


def connections(site: WorkerSite) -> int:
    """Count the connections to the carrier's socket, which the kernel lists at their far end."""
    lines = Path("/proc/self/net/unix").read_text().splitlines()
    return sum(line.endswith(f" 03 {line.split()[6]} {site.socket}") for line in lines[1:])


def undisturbed(site: WorkerSite, request: bytes) -> Reply:
    """Return what a site like this one answers in this very process."""
    state, cache = site.folder / "state-2", site.folder / "cache-2"
    if site.config.state.exists():
        shutil.copytree(site.config.state, state)
    changes = {"state": state, "cache": Cache(folder=cache)}
    other = Site(site.config.model_copy(update=changes), {LONG.digest: LONG})
    try:
        return decode_reply(split_head(handle(request, other))[1])
    finally:
        other.close()


def test_one_request_survives_a_stop_and_a_kill_of_the_worker(site: WorkerSite) -> None:
    request = fit(LONG, 1)
    message = signed(request, site.key)
    work = Aside(lambda: relay(message, site.socket))

    site.wait_for(trains, "work")
    assert site.worker.stop(_STOPS_S) == 0
    assert "stopping after the batch in progress" in site.log()
    assert not site.socket.exists()
    assert not site.desk.exists()
    assert site.released() == set()
    assert site.passages("done") == []

    site.start()
    site.wait_for(trains, "work after the stop")
    site.worker.kill()
    assert site.socket.exists()  # left behind
    assert site.released() == set()
    assert site.passages("done") == []

    expected = undisturbed(site, encode_request(request))
    assert expected.status == "done"
    site.start()
    body = split_head(work.outcome())[1]
    assert content(decode_reply(body)) == content(expected)
    assert len(site.passages("done")) == 1
    assert split_head(relay(message, site.socket))[1] == body
    assert site.verify() == len(site.passages())


def test_a_killed_carrier_costs_no_second_computation(site: WorkerSite, tmp_path: Path) -> None:
    message = tmp_path / "request.bin"
    message.write_bytes(signed(fit(LONG, 1), site.key))
    goes = [tmp_path / f"go-{number}" for number in range(3)]
    carriers = [
        Process([sys.executable, "-c", _RELAY, message, site.socket, go], go.with_suffix(".log"))
        for go in goes
    ]
    try:
        for carrier in carriers:  # they are slow to start: it is done before the work begins
            carrier.start()
        for carrier in carriers:
            wait_until(lambda carrier=carrier: "ready" in carrier.text(), 60.0, "a carrier")  # type: ignore[misc]
        for carrier, go in list(zip(carriers, goes, strict=True))[:2]:
            go.touch()
            wait_until(lambda: connections(site) > 0, 60.0, "a carrier", every_s=0.02)
            site.wait_for(trains, "work")
            assert carrier.is_alive, carrier.text()
            carrier.kill()
            wait_until(lambda: connections(site) == 0, 60.0, "its end", every_s=0.02)
        assert site.passages() == []
        goes[2].touch()
        wait_until(lambda: not carriers[2].is_alive, 120.0, "the last carrier")
        body = split_head(message.with_suffix(".reply").read_bytes())[1]
    finally:
        for carrier in carriers:
            carrier.close()
    assert decode_reply(body).status == "done"
    assert split_head(relay(message.read_bytes(), site.socket))[1] == body
    (line,) = site.passages()
    assert line.status == "done"
    assert site.log().count("answered in") == 1


def test_an_endless_fit_and_an_open_stream_do_not_hold_up_a_stop(site: WorkerSite) -> None:
    message = signed(fit(ENDLESS, 1), site.key)
    Aside(lambda: relay(message, site.socket, away_s=0.0))
    site.wait_for(trains, "work")
    done = threading.Event()
    with grpc.insecure_channel(f"unix:{site.socket}") as channel:
        open_stream(channel, done)
        assert site.worker.stop(_STOPS_S) == 0
        done.set()
    assert site.log().splitlines()[-1].endswith("stopped")
    assert site.passages() == []


def open_stream(channel: grpc.Channel, done: threading.Event) -> object:
    """Begin a request, and do not end it before everything is done."""

    def pieces() -> Iterator[Piece]:
        yield Piece(data=b"LKS1")
        done.wait()

    handle = channel.stream_stream(
        "/leukofed.Worker/Handle",
        request_serializer=Piece.SerializeToString,
        response_deserializer=Piece.FromString,
    )
    return handle(pieces())
