"""The heads of the sites' egress logs, as their replies told them: a log only ever grows."""

from collections.abc import Iterable

from common.log_head import LogHead, heads_told
from common.record import Record, read_record


class LogHeads:
    """The newest head of each site's log in one run, a resumed run's earlier ones included.

    Args:
        record: of the run; what it holds of other runs does not count.
        sites: whose heads are followed.

    Raises:
        CorruptFile: the record cannot be read.
    """

    def __init__(self, record: Record, sites: Iterable[str]) -> None:
        ours = [
            event
            for event in read_record(record.path)
            if (event.get("study"), event.get("run")) == (record.study, record.run)
        ]
        self._newest = {site: head for site in sites for head in heads_told(ours, site)}

    def take(self, site: str, head: LogHead) -> str:
        """Note what a site tells of its log; say in words if that was changed, else nothing."""
        before = self._newest.get(site, head)
        self._newest[site] = head
        if head.lines < before.lines:
            return (
                f"its egress log is shorter than it was: {head.lines} lines, after "
                f"{before.lines} in an earlier reply"
            )
        if head.lines == before.lines and head.digest != before.digest:
            return (
                f"its egress log was changed: line {head.lines} is not the one of an earlier reply"
            )
        return ""
