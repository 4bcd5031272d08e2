"""Every failure an operator can cause or repair.

* LeukofedError          printed as its problem and its remedy, without a traceback
  - ConfigError          a study, site or scenario file does not say what we need
  - DataError            a site's images or manifest break the data contract
  - WeightsError         pre-trained weights are missing or are not the ones that were agreed
  - CorruptFile          a checkpoint, cache or release is not what was written
  - RequestRefused       a site declines what it was asked; the round goes on without it
  - UpdateRejected       a site's reply cannot be used; the round goes on without it
  - RunStopped           the run cannot go on now; it can be resumed

Anything else that escapes is a bug in our code and keeps its traceback.

Flower sends `str(exception)` from a site to the server, so `problem` and `fix` hold counts and
settings only. `local_detail` (file names, lines, values) is printed and logged at home, never sent.
"""


class LeukofedError(Exception):
    """What went wrong, and the one thing to do about it."""

    def __init__(self, problem: str, *, fix: str, local_detail: str = "") -> None:
        super().__init__(f"{problem}\n  To fix: {fix}")
        self.problem = problem
        self.fix = fix
        self.local_detail = local_detail


class ConfigError(LeukofedError):
    """A configuration file is missing, unreadable, or does not fit the schema."""


class DataError(LeukofedError):
    """A site's data break the contract in docs/data.md."""


class WeightsError(LeukofedError):
    """Pre-trained weights are missing, unreadable, or have another digest than agreed."""


class CorruptFile(LeukofedError):  # noqa: N818 - reads as a fact
    """A file we wrote earlier no longer holds what we wrote."""


class RequestRefused(LeukofedError):  # noqa: N818 - reads as an outcome, not a crash
    """A site declines a request by its own rules."""


class UpdateRejected(LeukofedError):  # noqa: N818
    """A site's reply cannot be used; `site` says whose."""

    def __init__(self, site: str, problem: str, *, fix: str) -> None:
        super().__init__(f"reply from {site} rejected: {problem}", fix=fix)
        self.site = site


class RunStopped(LeukofedError):  # noqa: N818
    """The run cannot go on now, and can be resumed from its last checkpoint."""
