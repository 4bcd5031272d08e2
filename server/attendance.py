"""Who took part in which round, as it is told in the checkpoint, the metrics and the report."""

from collections.abc import Mapping, Sequence

from common.figures import Attendance, Mark


class Register:
    """What became of every site that was asked, round by round.

    A site whose replies counted in one exchange of a round, and not in another, did not take part
    in it.
    """

    def __init__(self) -> None:
        self._marks: dict[str, dict[int, dict[str, Mark]]] = {}  # phase -> round -> site

    def note(self, phase: str, number: int, site: str, mark: Mark) -> None:
        """Note what became of a site in an exchange."""
        marks = self._marks.setdefault(phase, {}).setdefault(number, {})
        if mark != "answered" or site not in marks:
            marks[site] = mark

    def came_late(self, phase: str, number: int, site: str) -> None:
        """Note that the reply of a site that was given up has come."""
        marks = self._marks.get(phase, {}).get(number, {})
        if marks.get(site) == "missing":
            marks[site] = "late"

    def participation(self, sites: Sequence[str]) -> dict[str, tuple[Attendance, ...]]:
        """Return the rounds of each phase, in the order in which they were held.

        Args:
            sites: of the study; those that were not asked are left out of a round.
        """
        return {
            phase: tuple(
                Attendance(
                    round=number, sites={site: marks.get(site, "left out") for site in sites}
                )
                for number, marks in rounds.items()
            )
            for phase, rounds in self._marks.items()
        }

    def to_json(self) -> dict[str, dict[str, dict[str, Mark]]]:
        """Return plain data: phase, round, site."""
        return {
            phase: {str(number): dict(marks) for number, marks in rounds.items()}
            for phase, rounds in self._marks.items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Mapping[str, Mapping[str, Mark]]]) -> "Register":
        """Rebuild a register from `to_json`'s plain data."""
        register = cls()
        register._marks = {
            phase: {int(number): dict(marks) for number, marks in rounds.items()}
            for phase, rounds in data.items()
        }
        return register


def rounds_lost(participation: Mapping[str, Sequence[Attendance]]) -> dict[str, int]:
    """Count, by site that lost any, the rounds in which its replies do not count."""
    lost: dict[str, int] = {}
    for rounds in participation.values():
        for held in rounds:
            for site, mark in held.sites.items():
                if mark not in ("answered", "not drawn"):
                    lost[site] = lost.get(site, 0) + 1
    return dict(sorted(lost.items()))
