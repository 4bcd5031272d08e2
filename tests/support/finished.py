"""Run a study whose steps are all done in a process that has nothing of a hospital's.

    python -m tests.support.finished FOLDER RUN

Neither torch nor what comes with it can be imported, nor the hospital's side, nor the bench; and
there is no way to the sites.
"""

import sys
from functools import partial
from pathlib import Path
from typing import cast

ABSENT = ("torch", "torchvision", "timm", "cv2", "opacus", "client", "simulations")


class Absent:
    """Finds no package that is not there."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        """Refuse these names; others are looked for elsewhere."""
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(name)


if __name__ == "__main__":
    sys.meta_path.insert(0, Absent())

    from flwr.serverapp import Grid
    from rich.console import Console

    from common.initial_model import read_initial
    from common.study.schema import load_study
    from server.course import run_study
    from server.progress import PlainProgress
    from server.rounds import Rounds
    from server.run_folder import RunFolder

    path = Path(sys.argv[1])
    study = load_study(path / "study.yaml")
    with PlainProgress(Console()) as watch:
        run_study(
            study,
            read_initial(path / "initial.safetensors", study.initial_model),
            path / "fronts.safetensors",
            RunFolder(path, sys.argv[2]),
            partial(Rounds, cast(Grid, None), deadline_s=1.0),
            watch,
            synthetic=True,
        )
    print(*sorted(name for name in ABSENT if name in sys.modules))
