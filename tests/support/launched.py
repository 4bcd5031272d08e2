"""A coordinator's folder with a tiny proposed study, and runs of it made without any process."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from common.initial_model import InitialModel, write_initial
from common.proposal import proposal
from common.record import Record
from common.signing import new_key, read_key, write_key
from common.study.phases import BackbonesPhase, BoosterPhase, FusionPhase, Phase
from common.study.schema import LabelSet, Study
from common.yaml_file import dump_yaml
from server.federation import Federation, Settings
from server.site_list import SiteState
from server.sites import AdmittedSite
from server.standing import DEEDS_FILE, LAUNCH_FILE
from tests.support.keys import node_public_key
from tests.support.operated import STUDY, enter

MODEL = InitialModel(
    {
        "constants": {"net/norm": np.ones(2, np.float32)},
        "tails": {"net/conv": np.ones(2, np.float32)},
        "heads": {"net/bias": np.zeros(2, np.float32)},
        "fusion": {"h1.weight": np.ones(3, np.float32)},
    },
    {},
)


def tiny_study(**changes: Any) -> Study:
    """Build a study of two sites, one of which is a quorum, with few rounds."""
    phases: dict[type, Phase] = {
        BackbonesPhase: BackbonesPhase(head_rounds=2, tail_rounds=1),
        FusionPhase: FusionPhase(rounds=2),
        BoosterPhase: BoosterPhase(rounds=2, depth=2),
    }
    settings: dict[str, Any] = {
        "name": STUDY,
        "sites": ("north", "south"),
        "quorum": 1,
        "labels": LabelSet(name="two", classes=("a", "b")),
        "initial_model": MODEL.digest,
    }
    found = Study(**(settings | changes))
    chosen = tuple(phases.get(type(phase), phase) for phase in found.phases)
    return found.model_copy(update={"phases": chosen})


def tiny_federation(path: Path, *, link_port: int = 1, **changes: Any) -> Federation:
    """Make a coordinator's folder with the study proposed and both sites admitted."""
    made, study = Federation(path), tiny_study(**changes)
    folder = made.studies / STUDY
    folder.mkdir(parents=True)
    settings = Settings(name="demo", hosts=("localhost",), link_port=link_port)
    (path / "federation.yaml").write_text(dump_yaml(settings), encoding="utf-8")
    write_key(made.signing_key, new_key())
    write_initial(folder / "initial.safetensors", MODEL)
    save_file({"front": np.ones(2, np.float32)}, folder / "fronts.safetensors")
    (folder / "study.yaml").write_text(dump_yaml(study), encoding="utf-8")
    text = proposal(study, read_key(made.signing_key))
    (folder / "proposal.yaml").write_text(text, encoding="utf-8")
    for number, site in enumerate(study.sites, start=1):
        enter(made, site, node_public_key(number, "ssh").decode(), number)
    return made


def admitted(*names: str) -> dict[str, AdmittedSite]:
    """Return entries of the register, their keys by their place among the names."""
    return {
        name: AdmittedSite(
            name=name, public_key=node_public_key(number, "ssh").decode().strip(),
            node_id=number, admitted=datetime.now(UTC),
        )
        for number, name in enumerate(names, start=1)
    }  # fmt: skip


def site_state(name: str, state: str = "online") -> SiteState:
    """Return what is known of a site."""
    return SiteState(name, "", state, None, "", "", datetime.now(UTC), None)


class LaunchedRun:
    """A run's folder, and what its processes and the commands would write into it.

    Args:
        path: the folder.
        study: what is run.
    """

    def __init__(self, path: Path, study: Study | None = None) -> None:
        self.path = path
        self.study = study or tiny_study()
        path.mkdir(parents=True)
        (path / "study.yaml").write_text(dump_yaml(self.study), encoding="utf-8")
        (path / LAUNCH_FILE).write_text("run: .\n", encoding="utf-8")
        self._deeds = Record(path / DEEDS_FILE, study=self.study.digest, run=path.name)
        self._record: Record | None = None

    def submitted(self, flower_run: str = "1") -> None:
        """Note a launch, as `launch` and `resume` do."""
        self._deeds.write("submitted", by="someone", flower_run=flower_run)

    def stopped(self, flower_run: str = "1") -> None:
        """Note a stop, as `stop` does."""
        self._deeds.write("stopped", by="someone", flower_run=flower_run)

    def write(self, event: str, **facts: Any) -> None:
        """Write an event of the run's record."""
        if self._record is None:
            run = f"{self.path.name}.federated"
            self._record = Record(self.path / "record.jsonl", study=self.study.digest, run=run)
        self._record.write(event, **facts)

    def launched(self, flower_run: str = "1") -> None:
        """Note that the run's process has begun."""
        self.write("launched", launch=1, flower_run=flower_run)

    def round(self, phase: str, number: int, *seconds: float, lost: tuple[str, ...] = ()) -> None:
        """Note a round that is over: an exchange for each of the seconds."""
        accepted = [site for site in self.study.sites if site not in lost]
        for exchange, spent in enumerate(seconds):
            where = {"phase": phase, "round": number, "exchange": exchange}
            for site in lost:
                self.write("refused", **where, site=site, problem="too many rounds", fix="ask it")
            self.write(
                "exchange", **where, ask="fit", invited=self.study.sites, accepted=accepted,
                seconds=spent, bytes_down=dict.fromkeys(self.study.sites, 1000),
                bytes_up=dict.fromkeys(accepted, 20),
            )  # fmt: skip
        self.write("round", phase=phase, round=number)


def later(seconds: float) -> datetime:
    """Return the time so many seconds from now."""
    return datetime.now(UTC) + timedelta(seconds=seconds)
