"""The carrier's half of a site, kept running: tunnel, SuperNode, working hours and health."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from client.health import Health, HealthServer
from client.hours import working_hours
from client.node import (
    NodeVerdicts,
    carriers,
    node_command,
    node_environment,
    quiet_s,
)
from client.site_folder import SiteFolder
from client.tunnel import Tunnel
from common.durations import duration
from common.errors import ConfigError
from common.supervision import Kept

_LOG = logging.getLogger("leukofed.link")
_WELL_S = 30.0  # a SuperNode that ran for so long was taken in
_STOP_S = 15.0


@dataclass(frozen=True)
class Patience:
    """How long what is silent is waited for, in seconds."""

    silent_s: float = 90.0
    """For a SuperNode that does not call. A live one does every 3 s, at work every 23 s, and where
    the coordinator is away it tries every 20 s."""
    starting_s: float = 120.0
    """For a ClientApp's first sign of life."""
    stalled_s: float = 1000.0
    """For its next one; by itself it gives up after 900 s."""
    heard_s: float = 90.0
    """For the coordinator, before the site's health says so."""
    closing_s: float = 900.0
    """For the message that is at work when working hours end."""
    idle_s: float = 10.0
    """For what is left to send after it."""


PATIENCE = Patience()


class Link:
    """What connects a site with the coordinator, from `start` to `close`.

    Args:
        folder: the site's.
        logs: folder of the logs.
        before: what stands before the SuperNode's command.
        worker_answers: tells whether the worker does.
        patience: with what is silent.
        clock: tells the local time.

    Raises:
        ConfigError: the site has no address to connect to, or its health port is taken.
    """

    def __init__(
        self,
        folder: SiteFolder,
        logs: Path,
        before: Sequence[str],
        worker_answers: Callable[[], bool],
        patience: Patience = PATIENCE,
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        settings = folder.link_settings
        if not settings.address:
            raise ConfigError(
                "this site does not know the coordinator's address yet",
                fix="take it from the coordinator's kit with `leukofed-site join`",
            )
        self._pulse = folder.pulse
        self._patience = patience
        self._worker_answers = worker_answers
        self._clock = clock
        self._hours = None if settings.hours is None else working_hours(settings.hours)
        self._closed_until: str | None = None
        self._closing_since: float | None = None
        self._busy_at = 0.0
        self._verdicts = NodeVerdicts()
        self._server = HealthServer(settings.health_port, self.health)
        self._tunnel = Tunnel(settings.address, settings.proxy, settings.bandwidth_mbit)
        self._node = Kept(
            "SuperNode",
            lambda: [*before, *node_command(folder, settings.address)],
            logs / "supernode.log",
            environment=node_environment(folder, self._tunnel.url),
            folder=folder.link.resolve(),
            verdict=self._verdicts,
            patience_s=_STOP_S,
        )

    def start(self) -> None:
        """Begin; `watch` starts the SuperNode."""
        self._tunnel.start()
        self._server.start()

    def close(self) -> None:
        """End the SuperNode and its connections."""
        self._node.stop()
        self._server.close()
        self._tunnel.close()

    def watch(self) -> None:
        """Look after the SuperNode; to be called every second or so."""
        self._keep_hours(self._clock())
        group = self._node.pid
        if group is not None:
            self._watch_node()
            self._watch_carriers(group)

    def health(self) -> Health:
        """Say how the site is."""
        traffic = self._tunnel.traffic
        answers = self._worker_answers()
        heard_s = None if traffic.heard is None else time.monotonic() - traffic.heard
        runs = self._node.pid is not None
        reasons = [] if answers else ["the worker does not answer"]
        if self._closed_until is None:
            if self._verdicts.words:
                reasons.append(self._verdicts.words)
            elif not runs:
                reasons.append("the SuperNode does not run")
            elif heard_s is None or heard_s > self._patience.heard_s:
                since = "yet" if heard_s is None else f"for {duration(heard_s)}"
                unheard = f"nothing was heard from the coordinator {since}"
                reasons.append(traffic.trouble or unheard)
        return Health(
            reason="; ".join(reasons),
            closed_until=self._closed_until,
            worker_answers=answers,
            node_runs=runs,
            node_starts=self._node.starts,
            heard_seconds=heard_s,
            bytes_up=traffic.up,
            bytes_down=traffic.down,
        )

    def _watch_node(self) -> None:
        """Restart a SuperNode that lives but does not call, as after an error of TLS."""
        ran_s, called = self._node.running_s, self._tunnel.traffic.called
        silent_s = ran_s if called is None else min(ran_s, time.monotonic() - called)
        if silent_s > self._patience.silent_s:
            reason = f"it lives, but has not called the coordinator for {duration(silent_s)}"
            self._node.restart(reason)
        elif ran_s > _WELL_S:
            self._verdicts.forget()

    def _watch_carriers(self, group: int) -> None:
        """Restart a SuperNode whose ClientApp hangs, which keeps it from every later message.

        Killing the ClientApp alone would do, but its SuperNode waits for it for another minute.
        """
        for carrier in carriers(group):
            self._busy_at = time.monotonic()
            pulsed_s = quiet_s(self._pulse)
            has_pulsed = pulsed_s < carrier.age_s
            silent_s = pulsed_s if has_pulsed else carrier.age_s
            if silent_s > (self._patience.stalled_s if has_pulsed else self._patience.starting_s):
                self._node.restart(
                    f"its ClientApp has given no sign of life for {duration(silent_s)}"
                )
                return

    def _keep_hours(self, now: datetime) -> None:
        """Run the SuperNode within working hours only.

        A message that is at work when they end is finished, if that does not take too long.
        """
        if self._hours is None or self._hours.hold(now):
            self._closing_since = self._closed_until = None
            self._node.start()
            return
        begins = self._hours.next_begin(now).strftime("%H:%M")
        if self._node.is_wanted:
            clock = time.monotonic()
            if self._closing_since is None:
                self._closing_since = clock
                _LOG.info("working hours are over; what is at work is finished first")
            is_busy = clock - self._busy_at < self._patience.idle_s
            if is_busy and clock - self._closing_since < self._patience.closing_s:
                return
            self._node.stop()
        if self._closed_until is None:
            _LOG.info("closed until %s", begins)
        self._closed_until = begins
