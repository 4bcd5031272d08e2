"""One hospital with a real worker process: its images, its site file, its approved studies."""

import csv
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.desk import look
from client.egress.audit import verify
from client.egress.log import EgressLog, Passage
from client.egress.outbox import Outbox
from client.site_config import Cache, Images, Limits, Numerics, SiteConfig
from common.errors import LeukofedError
from common.proposal import proposal
from common.signing import new_key, public_half
from common.study.schema import Study
from common.whole_file import write_whole
from common.worker_pb2 import Outlook
from common.yaml_file import dump_yaml
from tests.support.processes import BIN, Process, wait_until
from tests.support.small import write_smears
from tests.support.walls import can_wall

NAME = "north"
IMAGES = 24
_SPLITS = ("train",) * 4 + ("validation", "test")
_STARTED_S = 120.0


class WorkerSite:
    """A site on disk, and its worker: without a network where that can be arranged.

    Args:
        folder: holds everything but the sockets.
        limits: of the site file.
        key: the coordinator's; a new one by default.
        settings: other fields of the site file.
    """

    def __init__(
        self,
        folder: Path,
        *,
        limits: Limits | None = None,
        key: Ed25519PrivateKey | None = None,
        **settings: Any,
    ) -> None:
        self.folder = folder
        self.key = key or new_key()
        self.approved = folder / "approved"
        self.approved.mkdir(parents=True)
        self.has_wall = can_wall()
        self.sockets = Path(tempfile.mkdtemp(prefix="lkw-"))
        self.socket, self.desk = self.sockets / "worker.sock", self.sockets / "desk.sock"
        images = folder / "images"
        examples = write_smears(images, IMAGES)
        classes = ("Benign", "Early", "Pre", "Pro")
        with (images / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("path", "label", "patient", "split"))
            for number, example in enumerate(examples):
                split = _SPLITS[number // len(classes) % len(_SPLITS)]
                label = classes[example.label]
                writer.writerow((example.image.name, label, example.group, split))
        given = {
            "limits": limits or Limits(fewest_examples=0),
            "coordinator": public_half(self.key),
            **settings,
        }
        self.config = SiteConfig(
            name=NAME,
            images=Images(manifest=images / "manifest.csv"),
            state=folder / "state",
            cache=Cache(folder=folder / "cache"),
            numerics=Numerics(),  # fixed, so that bits can be compared
            **given,
        )
        self.site_file = folder / "site.yaml"
        self.site_file.write_text(dump_yaml(self.config), encoding="utf-8")
        self.worker = self.process(self.site_file, self.socket, "worker.log")

    def process(self, site_file: Path, socket: Path, log: str) -> Process:
        """Make a worker for a site file and a socket; it is not started."""
        wall = ["unshare", "--net"] if self.has_wall else []
        return Process(
            [*wall, BIN / "leukofed-site", "worker", "--site-file", site_file,
             "--approved", self.approved, "--socket", socket],
            self.folder / log,
            {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def approve(self, study: Study, name: str = "study.yaml") -> Path:
        """Put a signed study into the folder of approved studies."""
        path = self.approved / name
        write_whole(path, proposal(study, self.key).encode())
        return path

    def start(self) -> Self:
        """Start the worker, and wait until it listens."""
        before = self.log().count("listening at")
        self.worker.start()

        def listens() -> bool:
            if not self.worker.is_alive:
                raise RuntimeError(f"the worker has ended: {self.log()}")
            return self.log().count("listening at") > before

        wait_until(listens, _STARTED_S, "the worker", every_s=0.05)
        return self

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker and remove its sockets."""
        try:
            self.worker.close()
        finally:
            shutil.rmtree(self.sockets, ignore_errors=True)

    def outlook(self) -> Outlook:
        """Ask the worker how things stand."""
        return look(self.desk)

    def wait_for(self, is_so: Callable[[Outlook], object], what: str) -> None:
        """Wait until the worker tells that something is so."""
        wait_until(lambda: is_so(self.outlook()), 60.0, what, every_s=0.03)

    def log(self) -> str:
        """Return what the worker has logged so far."""
        return self.worker.text() if self.worker.log.exists() else ""

    def passages(self, status: str = "") -> list[Passage]:
        """Return what has left, oldest first; of one status, if it is given."""
        log = EgressLog(self.config.state / "egress.jsonl")
        return [line for line in log if not status or line.status == status]

    def released(self) -> set[tuple[str, str, int, int]]:
        """Return the steps for which the outbox holds a release."""
        lines = Outbox(self.config.state / "outbox").lines()
        return {(line.run, line.phase, line.round, line.exchange) for line in lines}

    def verify(self) -> int:
        """Verify the egress log; return its number of lines."""
        state = self.config.state
        return verify(EgressLog(state / "egress.jsonl"), Outbox(state / "outbox")).lines


def trains(outlook: Outlook) -> bool:
    """Whether the worker is in the midst of the backbones' first round, its images passed.

    The studies that are looked at so have epochs for several times as long.
    """
    return (
        outlook.activity == Outlook.WORKING
        and (outlook.phase, outlook.round) == (Outlook.BACKBONES, 1)
        and outlook.done == outlook.of
        and outlook.seconds > 0.5
    )


class Aside:
    """A call in a thread of its own; its outcome is waited for."""

    def __init__(self, call: Callable[[], bytes]) -> None:
        self._call = call
        self._found: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def outcome(self, seconds: float = 120.0) -> bytes:
        """Return what the call returned; raise what it raised.

        Raises:
            TimeoutError: it has not ended.
        """
        self._thread.join(seconds)
        if self._thread.is_alive():
            raise TimeoutError(f"not within {seconds:g} s")
        if "error" in self._found:
            raise self._found["error"]
        return bytes(self._found["data"])

    def _run(self) -> None:
        try:
            self._found["data"] = self._call()
        except LeukofedError as error:
            self._found["error"] = error
