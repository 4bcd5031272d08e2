"""Sites of an engine that misbehave: one raises, one sleeps, one's process dies."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from common.wire import decode_header
from simulations.engines.process import Answer, OpenSeat

Oddity = Literal["raises", "sleeps", "dies"]


@dataclass(frozen=True)
class Echo:
    """Sites that answer with what they were sent, and the number of their process."""

    def __call__(self) -> Answer:
        return lambda site, data: b" ".join((site.encode(), data, str(os.getpid()).encode()))


@dataclass(frozen=True)
class OddSites:
    """Sites that answer as they should, but for some.

    Args:
        sound: makes what the others answer.
        odd: what each of the odd ones does.
        spared: phases of a run in which the odd ones answer, too.
        sleep_s: how long one sleeps that does.
    """

    sound: OpenSeat = field(default_factory=Echo)
    odd: Mapping[str, Oddity] = field(default_factory=dict)
    spared: tuple[str, ...] = ()
    sleep_s: float = 3600.0

    def __call__(self) -> Answer:
        answer = self.sound()

        def odd_answer(site: str, data: bytes) -> bytes:
            if self.spared and decode_header(data).step.phase in self.spared:
                return answer(site, data)
            match self.odd.get(site):
                case "raises":
                    raise ZeroDivisionError(site)
                case "sleeps":
                    time.sleep(self.sleep_s)
                case "dies":
                    os._exit(1)
            return answer(site, data)

        return odd_answer
