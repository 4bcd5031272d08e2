"""What a study would do at this site, in plain words for a terminal."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from client.approvals import Approval
from client.prospect import Prospect
from client.site_config import SiteConfig
from common.columns import aligned
from common.durations import duration
from common.forecast import PARTS
from common.kit import Kit, fingerprint
from common.privacy import DOES, LEAVES, NEVER, NO_EPSILON
from common.sizes import size
from common.study.changes import changes
from common.study.phases import PhaseName

_WIDTH = 96


def told(
    found: Prospect, config: SiteConfig, kit: Kit | None, before: Approval | None
) -> Iterator[str]:
    """Yield the lines that a hospital reads before it approves.

    Args:
        found: what the study would do.
        config: the site file.
        kit: the coordinator's; None where the site has none.
        before: the last study of this name that was approved; None if there was none.
    """
    yield f"Study {found.study.name}, digest {found.digest[:12]}"
    yield from _facts(_head(found, config, kit))
    yield ""
    yield "What it would do here"
    yield from _phases(found)
    yield ""
    yield from _facts(_effort(found))
    yield ""
    yield "What would leave this site"
    yield from _leaving(found)
    yield from _points([_largest(found, config), NEVER, NO_EPSILON])
    yield ""
    if found.objections:
        yield "What stands in the way"
        yield from _points(found.objections)
    else:
        yield "Nothing stands in the way: this site's limits, disk and manifest allow all of it."
    yield ""
    yield from _changed(found, before)


def _head(found: Prospect, config: SiteConfig, kit: Kit | None) -> Iterator[tuple[str, str]]:
    study = found.study
    if kit is not None:
        yield "federation", " ".join([kit.federation, *([f"({kit.contact})"] * bool(kit.contact))])
    if config.coordinator is not None:
        yield "asked by", f"the coordinator with the key {fingerprint(config.coordinator)}"
    names = (f"{name} (here)" if name == config.name else name for name in study.sites)
    yield "sites", f"{', '.join(names)}; a round counts with {study.quorum} of them"
    yield "classes", ", ".join(study.labels.told())
    glance = found.glance
    if glance.problem or glance.images is None:
        yield "images here", glance.problem
        return
    counts = ", ".join(f"{n} {name}" for name, n in glance.classes.items())
    parts = ", ".join(f"{glance.images[part]} {part}" for part in PARTS)
    yield "images here", f"{sum(glance.classes.values())}: {counts}; by part about {parts}"


def _phases(found: Prospect) -> list[str]:
    rows = [("phase", "exchanges", "work here", "comes", "leaves")]
    rows += [
        (one.phase, str(one.exchanges), _time(one.work_s), size(one.down), size(one.up))
        for one in found.phases
        if one.exchanges
    ]
    rows.append(
        (
            "in all",
            str(sum(one.exchanges for one in found.phases)),
            _time(sum(one.work_s for one in found.phases)),
            size(sum(one.down for one in found.phases)),
            size(sum(one.up for one in found.phases)),
        )
    )
    lines = aligned(rows, right=(1, 2, 3, 4), indent="  ")
    names: list[PhaseName] = [one.phase for one in found.phases]
    return [*lines, *_facts((name, DOES[name]) for name in names)]


def _effort(found: Prospect) -> Iterator[tuple[str, str]]:
    source = (
        "from what this site took for earlier work"
        if found.speed.is_measured
        else "not measured yet: supposed, of two processor cores and the default network"
    )
    yield "time", f"about {duration(found.whole_s)} if no other site is slower ({source})"
    yield (
        "disk",
        f"{size(found.disk)} in the cache, kept for later runs; {size(found.free)} are free",
    )


def _leaving(found: Prospect) -> Iterator[str]:
    by_phase = {one.phase: one for one in found.phases}
    for number, leaving in enumerate(LEAVES):
        one = by_phase[leaving.phase]
        is_told = number > 0 and LEAVES[number - 1].phase == leaving.phase
        label = "" if is_told else f"{leaving.phase}, {size(one.up)}"
        yield from _facts([(label, f"{leaving.what} ({leaving.form})")], 22)


def _largest(found: Prospect, config: SiteConfig) -> str:
    largest = max(found.phases, key=lambda one: one.largest_up)
    return (
        f"The largest single reply holds {size(largest.largest_up)}, in {largest.phase}; this site "
        f"sends at most {config.limits.largest_payload_mb:g} MB."
    )


def _changed(found: Prospect, before: Approval | None) -> Iterator[str]:
    if before is None:
        yield f"No study named {found.study.name} was approved here before."
        return
    yield (
        f"Changed since the study of this name that was approved on {before.since[:10]}, digest "
        f"{before.digest[:12]}"
    )
    rows = [(one.setting, f"{one.old} -> {one.new}") for one in changes(before.study, found.study)]
    width = max((len(setting) for setting, _ in rows), default=0)
    yield from _facts(rows, width)


def _time(seconds: float) -> str:
    return duration(seconds) if seconds >= 1 else "< 1 s"


def _points(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        yield from textwrap.wrap(text, _WIDTH, initial_indent="  - ", subsequent_indent="    ")


def _facts(rows: Iterable[tuple[str, str]], width: int = 11) -> Iterator[str]:
    for name, text in rows:
        lead = f"  {name.ljust(width)}  "
        yield from textwrap.wrap(
            text, _WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead)
        ) or [lead.rstrip()]
