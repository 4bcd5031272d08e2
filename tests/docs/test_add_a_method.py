"""The method that CONTRIBUTING.md adds is added, and trains two rounds."""

import io
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from common.initial_model import InitialModel
from common.log_head import LogHead, with_head
from common.record import Record
from common.study.phases import FusionPhase
from common.study.schema import Study
from common.wire import decode_request, encode_reply
from server import methods
from server.checkpoints import Checkpoints, Part, State
from server.conduct import Conduct
from server.phases.training import train_round
from server.progress import PlainProgress
from server.rounds import Rounds
from simulations.engines.inprocess import LoopbackGrid
from tests.support.small import small_study
from tests.support.stand_ins import answer

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"
AROUND = """
from typing import Literal
import numpy as np
from pydantic import Field
from common.study.strict import Strict
from server.methods import STEPS, Memory, Values
"""
MODEL = {"h1.weight": np.ones((3, 4), np.float32), "head.bias": np.zeros(5, np.float32)}


class Nodes:
    """Sites that answer with differences that mean nothing; what they sent is added up."""

    def __init__(self) -> None:
        self.sent: dict[int, dict[str, NDArray[Any]]] = defaultdict(dict)
        self._lines: Counter[str] = Counter()

    def __call__(self, data: bytes) -> bytes:
        asked = decode_request(data)
        reply = answer(asked, InitialModel({"fusion": MODEL}, {}, {}), ("a", "b"))
        for name, array in reply.arrays.items():
            total = self.sent[asked.step.round]
            total[name] = total.get(name, 0.0) + array.astype(np.float64) / 2
        self._lines[asked.step.site] += 1
        head = LogHead(lines=self._lines[asked.step.site], digest="a" * 64)
        return with_head(encode_reply(reply), head)


def opened(folder: Path, study: Study, nodes: Nodes) -> Conduct:
    parts = dict.fromkeys(("constants", "tails", "fusion-moments"), Part.of({}))
    parts["fusion"] = Part.of(MODEL)
    checkpoints = Checkpoints(folder / "checkpoints")
    state = checkpoints.latest(study.digest, note=pytest.fail) or State((0, 0), parts, {})
    watch = PlainProgress(Console(file=io.StringIO()))
    record = Record(folder / "record.jsonl", study=study.digest, run="r")
    grid = LoopbackGrid(dict.fromkeys(study.sites, nodes))
    rounds = Rounds(grid, study, "r", record, watch, 5.0, poll_s=0.01)
    return Conduct(study, rounds, checkpoints, record, watch, state)


# Pydantic does not know a member of the union that was added while the test runs.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_the_method_that_the_page_adds_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## Add a method\n")[2]
    code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(code) == 2
    monkeypatch.setattr(methods, "STEPS", dict(methods.STEPS))
    names: dict[str, Any] = {"__name__": "added"}
    exec("\n".join([AROUND, *code]), names)
    method = names["FedAdagrad"](server_rate=0.05)
    assert methods.STEPS[type(method)] is names["fedadagrad"]

    study = small_study(quorum=2)
    phases = tuple(
        phase.model_copy(update={"method": method}) if isinstance(phase, FusionPhase) else phase
        for phase in study.phases
    )
    study, nodes = study.model_copy(update={"phases": phases}), Nodes()
    train_round(opened(tmp_path, study, nodes), "fusion", 1, "fusion")
    resumed = opened(tmp_path, study, nodes)  # what the method remembers is in the checkpoint
    train_round(resumed, "fusion", 2, "fusion")

    for name, start in MODEL.items():
        place, square = start.astype(np.float64), np.full(start.shape, method.tau**2)
        for number in (1, 2):
            update = nodes.sent[number][f"fusion/{name}"]
            square = square + update**2
            moved = place + 0.05 * update / (np.sqrt(square) + method.tau)
            place = moved.astype(np.float32).astype(np.float64)
        np.testing.assert_allclose(resumed.parts["fusion"].arrays[name], place, rtol=1e-6)
