"""One whole round on generated smears, offline: through a worker's socket, gate, outbox and log."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.approved import ApprovedStudies
from client.doctor.finding import Finding, Watch, failed, ok, problem, unwatched
from client.dry_run import Carry, Sent, dry_run
from client.egress.audit import verify
from client.egress.log import EgressLog
from client.egress.outbox import Outbox
from client.launches import Launches
from client.phases import handle
from client.relay import relay
from client.service import WorkerService, carrier_server
from client.single_flight import SingleFlight
from client.site import Site
from client.site_config import Limits, SiteConfig
from client.sockets import LONGEST_PATH
from client.trial import generated_images, trial_config
from common.errors import ConfigError, LeukofedError
from common.model.initial import build_branches, initial_model
from common.proposal import proposal
from common.signing import new_key, public_half, sign_request
from common.study.schema import Study, load_study

_CHECK = "round"
_IMAGES = 24
_AWAY_S, _STALLED_S = 10.0, 300.0
_STOP_S = 10.0


def bundled_study() -> Study:
    """Read the small study that ships with leukofed, weights and all."""
    return load_study(Path(str(files("configs"))) / "studies" / "synthetic.yaml")


def round_line(config: SiteConfig, watch: Watch = unwatched) -> Finding:
    """Work through every kind of work of the bundled study, and say whether all went well.

    The images are generated, the coordinator's key is thrown away, and the site's own limits,
    records and cache are not used: what is tried is the installation.
    """
    began = time.monotonic()
    try:
        with TemporaryDirectory(prefix="leukofed-") as folder:
            sent, lines = _worked_through(config, Path(folder), watch)
    except LeukofedError as error:
        return failed(_CHECK, error)
    except OSError as error:
        return problem(
            _CHECK, f"the folder for temporary files cannot be used: {error.strerror or error}",
            "make room there, or name another one with TMPDIR",
        )  # fmt: skip
    seconds = time.monotonic() - began
    lost = [one for one in sent if one.status != "done"]
    if lost:
        return problem(
            _CHECK, f"{lost[0].work} was not done: {lost[0].problem}",
            "install leukofed anew, in a fresh virtual environment",
        )  # fmt: skip
    return ok(
        _CHECK,
        f"{len(sent)} requests, of every kind of work, answered offline through socket, gate, "
        f"outbox and log ({lines} lines, chain intact) in {seconds:.1f} s",
    )


def _worked_through(config: SiteConfig, folder: Path, watch: Watch) -> tuple[list[Sent], int]:
    study, key = bundled_study(), new_key()
    images = generated_images(folder / "images", study, _IMAGES)
    own = trial_config(config, folder, images).model_copy(
        update={"limits": Limits(fewest_examples=0), "coordinator": public_half(key)}
    )
    socket, approved = folder / "worker.sock", folder / "approved"
    if len(os.fsencode(socket)) > LONGEST_PATH:
        raise ConfigError(
            "the path of the folder for temporary files is too long for a socket in it",
            fix="name a short one with TMPDIR, such as /tmp",
            local_detail=str(folder),
        )
    approved.mkdir()
    (approved / "study.yaml").write_text(proposal(study, key), encoding="utf-8")
    branches = build_branches(study, None)
    initial = initial_model(study, branches).parts
    sent: list[Sent] = []
    with _worker(own, approved, socket, key) as carry:
        for one in dry_run(study, own.name, initial, carry):
            sent.append(one)
            watch("synthetic round", len(sent), 0)
    log, outbox = EgressLog(own.state / "egress.jsonl"), Outbox(own.state / "outbox")
    return sent, verify(log, outbox).lines


@contextmanager
def _worker(
    config: SiteConfig, approved: Path, socket: Path, key: Ed25519PrivateKey
) -> Iterator[Carry]:
    """Serve at a socket as the worker does; yield the way there."""
    flight: SingleFlight
    studies = ApprovedStudies(approved, key.public_key())
    site = Site(config, studies, pulse=lambda: flight.pulse())
    flight = SingleFlight(partial(handle, site=site))
    most = int(config.limits.largest_request_mb * 1e6)
    service = WorkerService(
        config.name, studies, key.public_key(), most, flight, Launches(config.state / "launches")
    )
    server = carrier_server(service, socket)
    server.start()
    launch = time.time_ns() // 1_000_000
    try:
        yield lambda data: relay(
            sign_request(data, key, launch), socket, away_s=_AWAY_S, stalled_s=_STALLED_S
        )
    finally:
        flight.close(_STOP_S)
        server.stop(grace=None).wait()
        site.close()
