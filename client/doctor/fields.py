"""Checks of what must stay together: groups that a given split parts, fields never looked for."""

from collections.abc import Iterator, Sequence

from client.data.fields.columns import straddling
from client.data.groups import check_grouping
from client.data.manifest import Example
from client.doctor.finding import Finding, failed, ok, warning
from common.errors import DataError
from common.study.schema import Study

_LISTED = 5  # groups named in a line


def fields_lines(
    examples: Sequence[Example], grouped_by: str, study: Study | None
) -> Iterator[Finding]:
    """Tell whether a demanded column is there, whether a given split parts groups, and of fields.

    Args:
        examples: with their groups.
        grouped_by: which column groups.
        study: that the groups are of; None: the usual columns'.
    """
    if study is not None and study.data.require is not None:
        try:
            check_grouping(grouped_by, study.data)
        except DataError as error:
            yield failed("groups", error)
    parted = straddling(examples)
    if parted:
        more = f" and {len(parted) - _LISTED} more" if len(parted) > _LISTED else ""
        yield warning(
            "split",
            f"{len(parted)} groups ({sum(parted.values())} images) lie in more than one part of "
            f"the manifest's split column: {', '.join(list(parted)[:_LISTED])}{more}",
            "give all images of a group the same part, or remove the column: what is trained on "
            "is tested on as well, and no study takes such a split",
        )
    elif any(example.split for example in examples):
        yield ok("split", "no group lies in more than one part of the manifest's split column")
    if not any(example.field for example in examples):
        yield warning(
            "fields",
            "images that overlap were never looked for: the manifest has no column `field`",
            "`leukofed-site fields MANIFEST --out NEW.csv` finds them and writes the column",
        )
