"""The model card of a release: what it is for, what it was made of, and what it cannot do."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, StrictUndefined

from common.asks import CensusTold
from common.figures import site_data
from common.held import PARTS, held_of
from common.study.schema import Study
from common.yaml_file import dump_yaml


@dataclass(frozen=True)
class Measure:
    """A figure measured on held-back images, with its 95 % interval where there is one."""

    classifier: str  # `booster` or `softmax`
    name: str  # for example `macro F1`
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Account:
    """What a card tells besides the study."""

    run: str
    version: str  # of leukofed
    census: Mapping[str, CensusTold]  # by site
    measures: tuple[Measure, ...]
    initial_model: str  # digest
    is_synthetic: bool  # trained on generated images
    is_rehearsal: bool = False  # the real sites, generated images
    losses: str = ""  # which sites did not take part in how many rounds


def model_card(study: Study, account: Account) -> str:
    """Write the card, Markdown."""
    census = account.census
    groupings = sorted({told.grouped_by for told in census.values()} - {"patient"})
    withheld = any(any(told.withheld.values()) for told in census.values())
    fronts = {pair for told in census.values() for pair in told.weights.items()}
    cuts = [f"{b.architecture} (frozen up to {b.cut})" for b in study.network.backbones]
    return _MARKDOWN.from_string(_TEMPLATE).render(
        study=study,
        account=account,
        classes=", ".join(study.labels.told()),
        backbones=" and ".join(cuts),
        note="; `< 5`: fewer than 5, and the site does not tell how many" if withheld else "",
        examples=_examples(study.labels.classes, census),
        imaging=dump_yaml(study.imaging),
        measures=_table(
            ("classifier", "measure", "value"),
            [(m.classifier, m.name, _figure(m)) for m in account.measures],
        ),
        groupings=" or ".join(groupings),
        identity=_table(
            ("", ""),
            [
                ("study", f"`{study.digest}`"),
                ("run", account.run),
                ("leukofed", account.version),
                ("initial model", f"`{account.initial_model}`"),
                *((f"frozen part of {name}", f"`{digest}`") for name, digest in sorted(fronts)),
            ],
        ),
    )


def _examples(classes: Sequence[str], census: Mapping[str, CensusTold]) -> str:
    rows = [
        (site, told.grouped_by, *(_counts(told, name) for name in classes))
        for site, told in sorted(census.items())
    ]
    return _table(("site", "grouped by", *classes), rows)


def _counts(told: CensusTold, name: str) -> str:
    """Tell a class's images per part."""
    return " / ".join(str(held_of(site_data(told), part, name)) for part in PARTS)


def _figure(measure: Measure) -> str:
    if measure.low is None or measure.high is None:
        return f"{measure.value:.3f}"
    return f"{measure.value:.3f} ({measure.low:.3f} to {measure.high:.3f})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


_MARKDOWN = Environment(trim_blocks=True, undefined=StrictUndefined, keep_trailing_newline=True)
_TEMPLATE = """\
{% if account.is_rehearsal %}
# Rehearsal, generated images: {{ study.name }}

**This is what a rehearsal left, and no model to use.** The real sites took part, and none read an
image of its own.

{% else %}
# Model card: {{ study.name }}

{% endif %}
{% if account.losses %}
**Incomplete: not every site took part in every round.** {{ account.losses }}.

{% endif %}
**For research only. This is not a diagnostic device**: it has no approval for clinical use, and
no decision about a patient may rest on it.
{% if account.is_synthetic %}

**Trained on generated images.** They look like smears and hold no biology; the figures below
show that the software works, and nothing about leukaemia.
{% endif %}

## What it does

It takes the microscope image of a blood or marrow smear and returns one probability for each of
{{ study.labels.classes | length }} classes: {{ classes }}.

Backbones: {{ backbones }}.
After them come dense layers of {{ study.network.h1 }} and {{ study.network.h2 }} and
gradient-boosted trees; the softmax head that the trees replace is kept beside them. After Khan et
al. 2025, Front. Med. 12:1694024.

## What it was trained on

Images per class, train / validation / test{{ note }}.

{{ examples }}

Images stayed at their sites.

## How an image is prepared

```yaml
{{ imaging }}```

## How well it does

On held-back images of the same sites, with 95 % bootstrap intervals over groups.

{{ measures }}

## What it cannot do, and what to mind

- It was tested at the sites that trained it. Another hospital's stain, microscope and camera can
  change its answers; measure it there first.
{% if groupings %}
- Some images were kept apart by {{ groupings }}, because their patients are unknown:
  images of one patient may stand on both sides of the split, which flatters the figures.
{% endif %}
- Probabilities are calibrated for the mixture of classes at these sites.
- Any image gets an answer, also one that shows no smear.
- Federation alone is not privacy. What sites send, and this model itself, may tell something of
  the images; frozen BatchNorm, which this model has, makes reconstruction from updates easier.
- No differential privacy was applied, and no epsilon is claimed.

## What it is

{{ identity }}

`SHA256SUMS` lists every other file of this bundle; `sha256sum -c SHA256SUMS` checks them.
"""
