"""A worker with a planted fault: its updates are many times too large, all else is real."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client import fitting
from client.cli.main import main as leukofed_site
from client.site import Site
from common.asks import FitTold
from common.study.schema import Study
from common.wire import Request
from tests.support.processes import BIN

LARGEST = 60_000.0  # float16 holds it


def plant(path: Path, factor: float) -> Path:
    """Write a program that stands in for `leukofed-site`, and return where it lies."""
    code = f"from tests.support.planted_worker import run\nrun({factor})\n"
    path.write_text(f"#!{BIN / 'python'}\n{code}", encoding="utf-8")
    path.chmod(0o755)
    return path


def run(factor: float) -> None:
    """Run `leukofed-site` with the words of this process, and with the fault."""
    honest = fitting.answer_fit

    def answer_fit(
        site: Site, study: Study, request: Request
    ) -> tuple[FitTold, Mapping[str, NDArray[Any]]]:
        told, arrays = honest(site, study, request)
        return told, {
            name: np.clip(array.astype(np.float32) * factor, -LARGEST, LARGEST).astype(np.float16)
            for name, array in arrays.items()
        }

    fitting.answer_fit = answer_fit
    sys.exit(leukofed_site())
