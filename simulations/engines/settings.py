"""The scenario's `engine`: where the virtual sites compute. It changes no result, only its time."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.study.strict import Strict


class InProcess(Strict):
    """One site computes at a time, in this process, with all its threads."""

    name: Literal["inprocess"] = "inprocess"
    """Which of the two engines."""


class OnRay(Strict):
    """Several sites compute at once, in processes of Ray, on this machine or on a Ray cluster."""

    name: Literal["ray"]
    """Which of the two engines."""
    cpus_per_site: float = Field(default=1.0, gt=0)
    """Cores that a site has while it computes; a part of one, or a whole number. Ray lets as many
    sites compute at once as have their cores and their share of a GPU."""
    gpus_per_site: float = Field(default=0.0, ge=0)
    """Share of a GPU that Ray keeps for a site while it computes; a part of one, or a whole
    number."""
    address: str | None = Field(default=None, pattern=r"^(auto|[^\s:/]+:[0-9]{1,5})$")
    """A Ray cluster that is running: `HOST:PORT`, or `auto` for the one that this machine belongs
    to. Null: Ray is started on this machine, for this run alone. On a cluster of several machines
    all folders must lie on a disk that every machine has."""
    deadline_s: float = Field(default=4 * 3600.0, gt=0)
    """How long a site may compute for one answer, in seconds; what is not done then is stopped, and
    the site is missing from this exchange only."""

    @model_validator(mode="after")
    def _can_be_shared_out(self) -> "OnRay":
        for name in ("cpus_per_site", "gpus_per_site"):
            if (share := getattr(self, name)) > 1 and share != int(share):
                raise ValueError(f"{name}: above 1 it must be a whole number")
        return self

    @property
    def threads(self) -> int:
        """How many threads a site computes with."""
        return max(1, int(self.cpus_per_site))


Engine = Annotated[InProcess | OnRay, Field(discriminator="name")]


def with_engine(own: InProcess | OnRay, wanted: str | None) -> InProcess | OnRay:
    """Return a scenario's own engine, or the other one with its defaults if that is wanted."""
    if wanted is None or wanted == own.name:
        return own
    return OnRay(name="ray") if wanted == "ray" else InProcess()
