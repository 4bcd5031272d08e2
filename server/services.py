"""`leukofed-server start`: front and SuperLink, kept running and watched."""

import logging
import os
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from common.durations import duration
from common.errors import LeukofedError
from common.supervision import BackOff, Kept
from server.control import flower_environment, write_connection
from server.federation import Federation
from server.front import check_front, front_command, reload_front, write_front
from server.health import front_answers, link_answers
from server.left_behind import end_whole
from server.link_database import DatabaseError, RunsNow, compact
from server.services_file import Part, ServicesNow, services_file, write_services
from server.sites import register_all
from server.sole_service import alone, check_free
from server.watch import (
    Sight,
    Trouble,
    has_executor,
    is_idle,
    may_restart,
    seen_runs,
    sight_of_disk,
    troubles,
)

_LOG = logging.getLogger("leukofed.start")
_STEP_S = 1.0
_COMPACT_EVERY_S = 3600.0
_REMIND_S = 86_400.0
_STOP_S = 20.0


def link_command(federation: Federation) -> list[str]:
    """Return the SuperLink's command: on the loopback, for admitted keys, fetching nothing."""
    certificate = federation.link_certificate.resolve()
    return [
        str(Path(sys.executable).parent / "flower-superlink"), "--host", "127.0.0.1",
        "--port", str(federation.settings.link_port),
        "--ssl-ca-certfile", str(federation.authority.resolve()),
        "--ssl-certfile", str(certificate),
        "--ssl-keyfile", str(certificate.with_suffix(".key")),
        "--enable-supernode-auth", "--disable-runtime-dependency-installation",
        "--database", str(federation.database.resolve()),
    ]  # fmt: skip


class Services:
    """Front and SuperLink of a federation, and the eye on both.

    Args:
        federation: its folder.
        look_every_s: how often it is looked whether all is well.
        settling_s: how long the SuperLink runs before it may be started anew for a trouble.

    Raises:
        FrontError: nginx is not installed.
    """

    def __init__(
        self, federation: Federation, *, look_every_s: float = 10.0, settling_s: float = 60.0
    ) -> None:
        self._federation = federation
        self._look_every_s = look_every_s
        self._settling_s = settling_s
        front = front_command(federation)
        self.front = Kept("front", lambda: front, federation.front / "front.log")
        self.link = Kept(
            "SuperLink", lambda: link_command(federation), federation.logs / "superlink.log",
            environment=flower_environment(federation.flower_home), folder=federation.flower_home,
            patience_s=_STOP_S, back_off=BackOff(most_s=30.0),
        )  # fmt: skip
        self._since = _now()
        self._last_answer: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._last_trouble = ""
        self._is_ready = False
        self._settled: tuple[object, ...] = _marks(federation)
        self._pending_marks = self._settled
        self._next_compaction = 0.0
        self._told_sites_at = 0  # the SuperLink's start after which it was told of the sites

    def run(self, stopping: threading.Event) -> None:
        """Keep both running until told to stop; then end them and all that they started.

        Raises:
            ConfigError: the folder holds no federation, another process serves it, or a port is
                taken.
            FrontError: nginx does not accept its certificate or configuration.
        """
        with alone(self._federation):
            self._prepare()
            try:
                self.link.start()
                self.front.start()
                next_look = time.monotonic()
                while not stopping.wait(_STEP_S):
                    self._follow_changes()
                    if not self._is_ready or time.monotonic() >= next_look:
                        self._look()
                        next_look = time.monotonic() + self._look_every_s
            finally:
                _LOG.info("stopping")
                self.front.stop()
                end_whole(self.link.pid, self.link.stop)
                services_file(self._federation).unlink(missing_ok=True)

    def _prepare(self) -> None:
        federation = self._federation
        write_front(federation)
        check_front(federation)
        write_connection(federation)
        federation.flower_home.chmod(0o700)
        for port, key in (
            (federation.settings.port, "port"),
            (federation.settings.link_port, "link_port"),
        ):
            check_free(port, key)
        if os.geteuid() == 0:
            _LOG.warning("front and SuperLink run as root: give them a user of their own")

    def _follow_changes(self) -> None:
        """Let the front know of admitted and revoked sites, and of a renewed certificate."""
        marks = _marks(self._federation)
        is_still = marks == self._pending_marks  # key and certificate are written one by one
        self._pending_marks = marks
        if marks == self._settled or not is_still:
            return
        self._settled = marks
        try:
            if reload_front(self._federation):
                _LOG.info("front reloaded: sites or certificates have changed")
        except LeukofedError as error:
            _LOG.error("the front goes on as it was: %s %s", error, error.local_detail)

    def _look(self) -> None:
        sight = self._sight()
        most = self._federation.settings.database_mb * 1e6
        found = troubles(sight, most)
        self._tell(found)
        if is_idle(sight) and sight.database_bytes > most:
            self._compact()
        is_settled = self.link.running_s > self._settling_s
        reasons = [trouble.words for trouble in found if trouble.restart]
        if reasons and is_settled:
            if may_restart(sight):
                end_whole(self.link.pid, lambda: self.link.restart(reasons[0]))
            else:
                self._once("restart", "a run is active: the SuperLink is started anew after it; "
                           "if that run makes no progress, stop it")  # fmt: skip
        self._write(found, sight)
        if not self._is_ready and sight.front_silent_s == sight.link_silent_s == 0:
            self._is_ready = True
            _LOG.info("ready: sites reach this federation at %s", self._federation.settings.address)

    def _sight(self) -> Sight:
        federation, number = self._federation, self.link.pid
        silent = {
            "front": self._silence("front", front_answers(federation)),
            "link": self._silence("link", link_answers(federation)),
        }
        size, free, warnings = sight_of_disk(federation)
        runs: RunsNow | None = seen_runs(federation)
        return Sight(
            silent["front"], silent["link"],
            has_executor(number) if number is not None and silent["link"] == 0 else None,
            runs, size, free,
            number is not None and self._link_renewed(),
            warnings,
            self._tell_sites() if silent["link"] == 0 else "",
        )  # fmt: skip

    def _tell_sites(self) -> str:
        """Let a SuperLink that has begun know the sites; one whose database was lost knows none.

        Returns:
            Why that cannot be; empty if all is well.
        """
        if self._told_sites_at == (starts := self.link.starts):
            return ""
        try:
            added = register_all(self._federation)
        except LeukofedError as error:
            return error.problem
        self._told_sites_at = starts
        if added:
            _LOG.warning("the SuperLink did not know %s: registered again", ", ".join(added))
        return ""

    def _link_renewed(self) -> bool:
        begun = time.time() - self.link.running_s
        try:
            return self._federation.link_certificate.stat().st_mtime > begun
        except OSError:
            return False  # it is being replaced; and if it is missing, a start would say so

    def _silence(self, part: str, answers: bool) -> float:
        """Return how long a part has been silent; 0 if it answers."""
        here = time.monotonic()
        since = self._last_answer.setdefault(part, here)
        if answers:
            self._last_answer[part] = here
            return 0.0
        return max(here - since, 0.001)

    def _tell(self, found: list[Trouble]) -> None:
        for trouble in found:
            self._once(trouble.kind, trouble.words)
        for kind in set(self._told) - {trouble.kind for trouble in found} - {"restart"}:
            del self._told[kind]
            self._told.pop("restart", None)
            _LOG.info("%s: over", kind)

    def _once(self, kind: str, words: str) -> None:
        """Say what is the matter when it begins, and once a day while it lasts."""
        here = time.monotonic()
        if here - self._told.get(kind, -_REMIND_S) >= _REMIND_S:
            self._told[kind] = here
            self._last_trouble = f"{_now()} {words}"
            _LOG.warning("%s", words)

    def _compact(self) -> None:
        if time.monotonic() < self._next_compaction:
            return
        self._next_compaction = time.monotonic() + _COMPACT_EVERY_S
        begun = time.monotonic()
        try:
            before, after = compact(self._federation.database)
        except DatabaseError as error:
            _LOG.warning("%s", error)
            return
        _LOG.info("database made smaller: %.0f MB to %.0f MB in %s", before / 1e6, after / 1e6,
                  duration(time.monotonic() - begun))  # fmt: skip

    def _write(self, found: list[Trouble], sight: Sight) -> None:
        now = ServicesNow(
            os.getpid(), self._since, _now(),
            Part(self.front.pid, self.front.starts, sight.front_silent_s == 0),
            Part(self.link.pid, self.link.starts, sight.link_silent_s == 0),
            sight.database_bytes, [trouble.words for trouble in found], self._last_trouble,
        )  # fmt: skip
        with suppress(OSError):  # a full disk: the log says so
            write_services(self._federation, now)


def _marks(federation: Federation) -> tuple[object, ...]:
    """Return what changes with the register and the front's certificate."""
    files = [*sorted(federation.sites.glob("*.yaml")), federation.front_certificate,
             federation.front_certificate.with_suffix(".key")]  # fmt: skip
    found = []
    for file in files:
        with suppress(OSError):
            found.append((file.name, file.stat().st_mtime_ns))
    return tuple(found)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
