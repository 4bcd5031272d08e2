"""The data sheet of a release: what is known of the images, and what only people can fill in.

After Gebru et al. 2021, "Datasheets for Datasets", Communications of the ACM 64(12), in whose
sections and order it asks. Nothing is guessed: what no site told stands as a blank.
"""

from collections.abc import Iterable, Mapping, Sequence

from jinja2 import Environment, StrictUndefined

from common.figures import SiteData
from common.held import PARTS, groups_held, summed
from common.plain_text import one_line
from common.study.schema import Study
from common.yaml_file import dump_yaml

BLANK = "**To fill in:**"
"""What stands before each question that only people can answer."""


def data_sheet(
    study: Study, data: Mapping[str, SiteData], *, synthetic: bool, rehearsal: bool = False
) -> str:
    """Write the sheet, Markdown.

    Args:
        study: its classes, split and preparation.
        data: what each site told in its census.
        synthetic: the images were generated, and so need no person's answers.
        rehearsal: the real sites took part with generated images.
    """
    classes = study.labels.classes
    sites = list(data.values())
    return _MARKDOWN.from_string(_TEMPLATE).render(
        study=study,
        data=data,
        blank=BLANK,
        generated=synthetic or rehearsal,
        classes=", ".join(classes),
        whole=f"{summed(sites, classes)}, at {len(data)} site{'' if len(data) == 1 else 's'}",
        limits=_limits(sites),
        counts=_counts(sites, classes),
        groups=" / ".join(_number(groups_held(data, part), "not told") for part in PARTS),
        by_site=_by_site(data, classes),
        excluded=_excluded(data),
        groupings=" or ".join(sorted({held.grouped_by for held in sites} - {"patient"})),
        validation=f"{100 * study.data.split.validation:.0f} %",
        test=f"{100 * study.data.split.test:.0f} %",
        imaging=dump_yaml(study.imaging),
    )


def _limits(sites: Sequence[SiteData]) -> str:
    """Write the bounds of the counts that are withheld; empty if none is."""
    limits = {held.fewest_examples for held in sites if any(held.withheld.values())}
    known = sorted(limit for limit in limits if limit is not None)
    return ", ".join([*(f"`< {limit}`" for limit in known), *["`few`"] * (None in limits)])


def _number(value: int | None, unknown: str) -> str:
    return unknown if value is None else str(value)


def _counts(sites: Sequence[SiteData], classes: Sequence[str]) -> str:
    rows = [
        (name, *(summed(sites, kept, [part]) for part in PARTS), summed(sites, kept))
        for name, kept in [*((name, [name]) for name in classes), ("total", list(classes))]
    ]
    return _table(("class", *PARTS, "total"), rows)


def _by_site(data: Mapping[str, SiteData], classes: Sequence[str]) -> str:
    rows = [
        (
            site,
            *(
                " / ".join(str(summed([held], [name], [part])) for part in PARTS)
                for name in classes
            ),
            " / ".join(str(held.groups.get(part, "?")) for part in PARTS),
            held.grouped_by,
        )
        for site, held in sorted(data.items())
    ]
    return _table(("site", *classes, "groups", "grouped by"), rows)


def _excluded(data: Mapping[str, SiteData]) -> str:
    rows = [
        (site, _plain(reason), count)
        for site, held in sorted(data.items())
        for reason, count in sorted(held.excluded.items())
        if count
    ]
    return _table(("site", "left out because", "images"), rows) if rows else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in lines)


def _plain(reason: str) -> str:
    """Let a site's own words be no more than words: neither a line of their own nor HTML."""
    return one_line(reason).replace("<", "&lt;")


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")


_MARKDOWN = Environment(
    trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined, keep_trailing_newline=True
)
_TEMPLATE = """\
# Data sheet: {{ study.name }}

What is known of the images with which this model was trained, tuned and tested, in the order of
Gebru et al. 2021, "Datasheets for Datasets". The software wrote what the sites told it. What only
people know stands as a blank, marked {{ blank }} In this bundle the file stays as it is, for
`SHA256SUMS` holds its digest: take a copy, and fill that in.
{% if generated %}

**The images were generated.** They look like smears and show nobody; nothing below tells of
patients, and the blanks need no answer.
{% endif %}

## Motivation

- For what was the dataset made? To train and test a classifier of {{ classes }} in the study
  `{{ study.name }}`, label set `{{ study.labels.name }}`, without bringing the images together.
- {{ blank }} who took these images, for what purpose at the time, and who paid for it?

## Composition

- What is an instance? The microscope image of one field of a blood or marrow smear, with one
  label.
- How many are there? {{ whole }}, per class and part:

{{ counts }}

- How many groups (patients, where they are known)? {{ groups }} in training, validation and test.
- Per site, each cell train / validation / test:

{{ by_site }}

{% if limits %}
- What is withheld? Small counts. {{ limits }} says that there are some, and fewer; a sum such as
  `61 + < 5` tells what is known. No such count was guessed. Test images of these classes are
  missing from every figure.
{% endif %}
- Are there recommended splits? The parts above. A group is never divided.
{% if groupings %}
  But some images were grouped by {{ groupings }}: their patients are unknown, and
  one patient may stand on both sides.
{% endif %}
  Where a site's manifest does not state the parts, they were drawn by group: {{ validation }}
  validation, {{ test }} test, the rest training.
- Errors, noise, redundancy? Exact duplicates were used once, and not at all where their labels
  differ. Images of one field, or nearly alike, may remain.
- Does it identify people? No image, name, path or pseudonym left a site. Each site keeps its own.
- {{ blank }} from how many patients, of what age, sex and origin, treated or not? Is anyone
  represented more, or not at all?
- {{ blank }} who gave the labels, by what criteria (morphology, flow cytometry, genetics), how many
  observers, and how often did they differ?

## Collection

- {{ blank }} per site: stain and its maker, microscope, objective, camera, scale bar or stamp,
  years; blood or marrow; how were fields chosen?
- {{ blank }} who consented to what, which ethics committee decided, under what number?
- {{ blank }} what was told to the patients, and how can they withdraw?

## Preprocessing, cleaning, labelling

- Each site left these images out, by its own software, and counted them:

{{ excluded or "none at any site." }}

- What stayed was prepared as follows, alike at every site; the images themselves were not changed:

```yaml
{{ imaging }}```

- {{ blank }} what was done to the images before they were listed (cropped, retouched, compressed,
  recoloured), and are the originals kept?

## Uses

- For what were they used? This model alone, in this study. Its figures are in `metrics.json`.
- What must be minded? Each site's stain and camera differ, and a model may tell them apart instead
  of cells. Classes mean what each hospital meant by them.
- For what should they not be used? To decide about a patient.
- {{ blank }} what else were these images used for, and is there a list of it?

## Distribution

- Are the images distributed? Not with this model: they stay at their sites. This bundle holds
  counts only.
- {{ blank }} may anyone ask a site for its images, under what licence, and from whom?

## Maintenance

- Who keeps the images? Each site its own; nobody has them all.
- Will they be updated? This sheet tells of the day of the census. A later run has its own.
- {{ blank }} whom does one write to, per site, and how long are the images kept?
"""
