"""The federated methods that a training phase can name, and the settings of each."""

from typing import Annotated, Literal

from pydantic import Field

from common.study.strict import Strict

Weights = Literal["examples", "equal"]
Optimizer = Literal["adamw", "sgd"]


class FedAvg(Strict):
    """The mean of the sites' updates is added to the model (McMahan et al. 2017)."""

    name: Literal["fedavg"] = "fedavg"


class FedAvgM(Strict):
    """The mean update drives a momentum at the coordinator (Hsu et al. 2019)."""

    name: Literal["fedavgm"] = "fedavgm"
    server_rate: float = Field(default=1.0, gt=0)
    """Factor on what is added to the model."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Share of the last round's motion that is kept, the paper's beta."""


class FedAdam(Strict):
    """Adam at the coordinator, on the mean update (Reddi et al. 2021, algorithm 2)."""

    name: Literal["fedadam"] = "fedadam"
    server_rate: float = Field(default=0.01, gt=0)
    """The paper's eta, about how far one value goes in a round; the paper tunes it per task."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Memory of the mean update."""
    beta2: float = Field(default=0.99, ge=0, lt=1)
    """Memory of its square."""
    tau: float = Field(default=1e-3, gt=0)
    """What is added to the root of the mean square; small values adapt more."""


class FedYogi(Strict):
    """Yogi at the coordinator, on the mean update (Reddi et al. 2021, algorithm 2)."""

    name: Literal["fedyogi"] = "fedyogi"
    server_rate: float = Field(default=0.01, gt=0)
    """The paper's eta, about how far one value goes in a round; the paper tunes it per task."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Memory of the mean update."""
    beta2: float = Field(default=0.99, ge=0, lt=1)
    """Memory of its square."""
    tau: float = Field(default=1e-3, gt=0)
    """What is added to the root of the mean square; small values adapt more."""


class FedProx(Strict):
    """Sites are pulled back to the model that they were sent (Li et al. 2020, eq. 2)."""

    name: Literal["fedprox"] = "fedprox"
    mu: float = Field(default=0.01, ge=0)
    """Strength of the pull; the paper tries 0.001 to 1."""


class Scaffold(Strict):
    """Sites correct their drift by control variates (Karimireddy et al. 2020, algorithm 1).

    Needs `optimizer: sgd` and `weights: equal`.
    """

    name: Literal["scaffold"] = "scaffold"
    server_rate: float = Field(default=1.0, gt=0)
    """The paper's global step size, a factor on what is added to the model."""


Method = Annotated[
    FedAvg | FedAvgM | FedAdam | FedYogi | FedProx | Scaffold, Field(discriminator="name")
]


def unfit(method: Method, optimizer: Optimizer, weights: Weights) -> str:
    """Say what keeps a method from working with a phase's other settings; empty if nothing."""
    if not isinstance(method, Scaffold):
        return ""
    if optimizer != "sgd":
        return "method scaffold corrects plain gradients: set optimizer: sgd"
    if weights != "equal":
        return "method scaffold gives every site the same weight: set weights: equal"
    return ""
