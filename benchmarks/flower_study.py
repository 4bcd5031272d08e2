"""Heads and tails of a study by Flower's own simulation: NumPyClient, FedAvg, run_simulation.

    python -m benchmarks.flower_study FOLDER

Each virtual site does the work of `benchmarks.plain_study`, with that module's very functions; in
its round, Flower carries the trained tensors as float32 to a worker of Ray's and back, and its
FedAvg takes the mean. One worker at a time, as in the loop.
"""

import os
import sys
from functools import partial
from pathlib import Path

import torch
from flwr.client import Client, ClientApp, NumPyClient
from flwr.common import Context, NDArrays, Scalar, ndarrays_to_parameters
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.simulation import run_simulation

from benchmarks.plain_study import PlainStudy, opened

Config = dict[str, Scalar]


class Site(NumPyClient):
    """A site, as Flower's tutorials write one."""

    def __init__(self, folder: Path, number: int) -> None:
        self.study = opened(folder)
        self.site = self.study.sites[number]

    def fit(self, parameters: NDArrays, config: Config) -> tuple[NDArrays, int, Config]:
        """Train what the round trains."""
        stage, number = str(config["stage"]), int(config["number"])
        held = self.study.trained("tails")
        for tensor, array in zip(held.values(), parameters, strict=True):
            tensor.copy_(torch.from_numpy(array))
        self.study.validate(self.site, stage)
        self.study.fit(self.site, stage, number)
        return [t.numpy() for t in held.values()], len(self.study.labels(self.site)), {}


def _site(folder: Path, context: Context) -> Client:
    return Site(folder, int(context.node_config["partition-id"])).to_client()


def _round(rounds: list[tuple[str, int]], number: int) -> Config:
    stage, within = rounds[number - 1]
    return {"stage": stage, "number": within}


def main() -> None:
    """Run it."""
    folder = Path(sys.argv[1]).resolve()
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    study = PlainStudy(folder)
    rounds = [(stage, number) for stage in ("heads", "tails")
              for number in range(len(study.facts["schedules"][stage]))]  # fmt: skip
    first = ndarrays_to_parameters([t.numpy() for t in study.trained("tails").values()])
    sites, threads = len(study.sites), study.numerics["threads"]
    fits: list[int] = []

    def counted(metrics: list[tuple[int, Config]]) -> Config:
        fits.append(len(metrics))
        return {}

    def components(_: Context) -> ServerAppComponents:
        strategy = FedAvg(
            fraction_evaluate=0.0, min_fit_clients=sites, min_available_clients=sites,
            initial_parameters=first, on_fit_config_fn=partial(_round, rounds),
            fit_metrics_aggregation_fn=counted,
        )  # fmt: skip
        return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=len(rounds)))

    run_simulation(
        ServerApp(server_fn=components),
        ClientApp(client_fn=partial(_site, folder)),
        num_supernodes=sites,
        backend_config={
            "client_resources": {"num_cpus": threads, "num_gpus": 0.0},
            "init_args": {"num_cpus": threads, "include_dashboard": False},
        },
    )
    if fits != [sites] * len(rounds):  # Flower goes on without sites that failed
        sys.exit(f"sites that trained, round by round: {fits}; there are {sites}")


if __name__ == "__main__":
    main()
