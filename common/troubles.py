"""Why a site gave no reply: one word each, which is all that travels, and what it means."""

from dataclasses import dataclass
from enum import StrEnum

from common.errors import LeukofedError


class Trouble(StrEnum):
    """What kept a request from being answered; told by a site's worker or its carrier."""

    NOT_A_REQUEST = "not-a-request"
    OTHER_PROTOCOL = "other-protocol"
    UNSIGNED = "unsigned"
    OTHER_KEY = "other-key"
    TOO_LARGE = "too-large"
    OTHER_SITE = "other-site"
    UNAPPROVED = "unapproved"
    OUTDATED = "outdated"
    BUSY = "busy"
    SUPERSEDED = "superseded"
    STOPPING = "stopping"
    FAILED = "failed"
    NO_RECORDS = "no-records"
    AWAY = "away"
    STALLED = "stalled"
    CARRIER_FAILED = "carrier-failed"


@dataclass(frozen=True)
class Meaning:
    """A trouble in plain words, and whether the same request may be sent once more."""

    problem: str
    fix: str
    passes: bool = False


_VERSIONS = "compare the leukofed versions at both ends"
_LOG = "see the log of the site's worker"
MEANING = {
    Trouble.NOT_A_REQUEST: Meaning("what arrived there is no request of this protocol", _VERSIONS),
    Trouble.OTHER_PROTOCOL: Meaning(
        "the site speaks another version of the protocol",
        "install at both ends versions of leukofed with the same protocol number",
    ),
    Trouble.UNSIGNED: Meaning(
        "the request is not signed", "give the run the coordinator's signing key"
    ),
    Trouble.OTHER_KEY: Meaning(
        "the request is signed by another key than the one that the site trusts",
        "launch with the key whose public half stands in the site file, under `coordinator`",
    ),
    Trouble.TOO_LARGE: Meaning(
        "the request is larger than the site takes",
        "agree with the hospital on `limits.largest_request_mb`, or train fewer parameters",
    ),
    Trouble.OTHER_SITE: Meaning(
        "the request is meant for another site", "compare the site names at both ends"
    ),
    Trouble.UNAPPROVED: Meaning(
        "the study is not approved at this site",
        "ask the hospital to approve this study, digest for digest",
    ),
    Trouble.OUTDATED: Meaning(
        "the request is of an earlier launch of its run than the site has worked for",
        "see that only one launch of the run is at work; if it is the newest one, set the "
        "coordinator's clock and resume the run",
    ),
    Trouble.BUSY: Meaning(
        "the site is at work on another request", "wait until it is done, or ask again later", True
    ),
    Trouble.SUPERSEDED: Meaning(
        "a newer request took this one's place at the site",
        "launch one run at a time for this site",
    ),
    Trouble.STOPPING: Meaning(
        "the site's worker was being stopped", "ask the hospital to start it", True
    ),
    Trouble.FAILED: Meaning("the site's worker failed; this is a bug", _LOG),
    Trouble.NO_RECORDS: Meaning(
        "the site cannot keep its own records, so nothing leaves it",
        "ask the hospital to make room on its disk; the worker's log names the folder",
        True,
    ),
    Trouble.AWAY: Meaning(
        "the site's worker does not run",
        "ask the hospital to start `leukofed-site worker`, and to compare its socket with the "
        "one that the carrier uses",
        True,
    ),
    Trouble.STALLED: Meaning(
        "the site's worker made no progress for too long", f"restart it, and {_LOG}"
    ),
    Trouble.CARRIER_FAILED: Meaning(
        "the site's carrier failed; this is a bug", "see the log of the site's SuperNode"
    ),
}


class Unanswered(LeukofedError):  # noqa: N818 - reads as an outcome
    """A request was not answered; `trouble` says why."""

    def __init__(self, trouble: Trouble, *, local_detail: str = "") -> None:
        meaning = MEANING[trouble]
        super().__init__(meaning.problem, fix=meaning.fix, local_detail=local_detail)
        self.trouble = trouble
