"""XGBoost's own federated mode: the two sides of one attempt, each to be run in a child process.

Its plugin is part of the wheel (`xgboost.build_info()["USE_FEDERATED"]`). A worker that is lost
leaves all others hanging, whence `common.children`. It knows TLS with certificates on both sides:
the meeting point takes the members' certificates and no others, and each member takes its alone.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray
from safetensors.numpy import save
from xgboost.collective import CommunicatorContext
from xgboost.federated import FederatedTracker

from common.boosting.rules import Rules
from common.boosting.xgb_model import read_trees
from common.boosting.xgb_train import binned_rows, xgb_parameters
from common.children import Tell

OWN, KEY, OTHERS = "own.crt", "own.key", "others.crt"
"""A child's files: its certificate, the key to it, and the certificates that it trusts."""


def meet(tell: Tell, folder: Path, members: int, limit_s: float) -> None:
    """Be the point where the members meet; tell its port.

    Args:
        tell: takes the port, as digits.
        folder: holds the three files.
        members: how many there are.
        limit_s: how long they may take to come.
    """
    tracker = FederatedTracker(
        n_workers=members,
        port=0,
        secure=True,
        server_key_path=str(folder / KEY),
        server_cert_path=str(folder / OWN),
        client_cert_path=str(folder / OTHERS),
        timeout=max(1, int(limit_s)),
    )
    tracker.start()
    tell(str(tracker.worker_args()["dmlc_tracker_port"]).encode())
    tracker.wait_for()


def take_part(
    tell: Tell,
    folder: Path,
    port: int,
    rank: int,
    members: int,
    rules: Rules,
    rounds: int,
    seed: int,
    bins: NDArray[np.uint8],
    labels: NDArray[np.int64],
) -> None:
    """Grow the whole forest with the other members; tell its table, which is every member's.

    On numbers of bins the members' trees are those of the pooled rows, column draws included:
    there are few distinct values, so the merged sketch of quantiles loses none.

    Args:
        tell: takes the table, as safetensors.
        folder: holds the three files.
        port: of the meeting point, on this machine.
        rank: of this member.
        members: how many there are.
        rules: the study's.
        rounds: of boosting.
        seed: of the draw of columns, the same at every member.
        bins: uint8 (n, features), of this member.
        labels: int64 (n,).
    """
    # A proxy of this machine is not for its loopback.
    os.environ["no_grpc_proxy"] = "localhost"  # gRPC reads small letters only  # noqa: SIM112
    settings: dict[str, Any] = {
        "dmlc_communicator": "federated",
        "federated_server_address": f"localhost:{port}",
        "federated_world_size": members,
        "federated_rank": rank,
        "federated_server_cert_path": str(folder / OTHERS),
        "federated_client_key_path": str(folder / KEY),
        "federated_client_cert_path": str(folder / OWN),
    }
    with CommunicatorContext(**settings):
        booster = xgboost.train(xgb_parameters(rules, seed), binned_rows(bins, labels), rounds)
        forest = read_trees(booster, rules)
    tell(save(forest.to_arrays()))
