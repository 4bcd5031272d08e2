"""Every judgement of the report, on figures made by hand."""

import pytest

from common.figures import Difference, Gain, Interval, Intervals, Number, SiteScores, Summary
from common.metrics import Arms, RunMetrics, Scores
from server.report.verdict import Verdict, verdict, worst_class
from tests.support.metrics_builder import build_metrics

UNKNOWN: Interval = (None, None)


@pytest.fixture(scope="module")
def built() -> RunMetrics:
    return build_metrics(sites=("north", "south"), classes=("Benign", "Pro"), curves={})


def scored(scores: Scores, macro_f1: Number, interval: Interval = UNKNOWN) -> dict[str, object]:
    extent = Intervals(accuracy=UNKNOWN, macro_f1=interval, macro_auc=UNKNOWN)
    return {"macro_f1": macro_f1, "interval": extent}


def gained(value: Number, interval: Interval = UNKNOWN) -> Gain:
    other = Difference(value=0.9, interval=(0.8, 0.95))  # must not be mistaken for macro F1's
    return Gain(
        accuracy=other, macro_f1=Difference(value=value, interval=interval), macro_auc=other
    )


def judged(
    built: RunMetrics,
    *,
    ours: Number = 0.8,
    interval: Interval = (0.75, 0.85),
    softmax: Number = 0.7,
    probe: Number = None,
    colour: Number = None,
    pooled: Number = None,
    gains: dict[str, Gain] | None = None,
    **changes: object,
) -> Verdict:
    """Judge a run that reached these macro F1; an arm of None was not measured."""
    arms = built.arms
    federated = arms.federated.model_copy(
        update={
            **scored(arms.federated, ours, interval),
            "softmax": arms.federated.softmax.model_copy(update={"macro_f1": softmax}),
        }
    )
    others = {
        "pooled": (arms.pooled, pooled),
        "linear_probe": (arms.linear_probe, probe),
        "colour_only": (arms.colour_only, colour),
    }
    found = {
        name: None
        if value is None or scores is None
        else scores.model_copy(update=scored(scores, value))
        for name, (scores, value) in others.items()
    }
    kept = {"arms": arms.model_copy(update={"federated": federated, **found})}
    plain: dict[str, object] = {"gains": gains or {}, "per_site": {}, "data": {}}
    return verdict(built.model_copy(update=plain | kept | changes))


def test_a_paired_interval_above_zero_is_better(built: RunMetrics) -> None:
    found = judged(built, probe=0.7, gains={"linear_probe": gained(0.1, (0.04, 0.16))})
    assert found.tone == "better"
    assert found.headline == (
        "Federated macro F1 0.800 [0.750, 0.850]; the linear probe reaches 0.700:"
        " federated training gained 0.100 [0.040, 0.160]."
    )
    assert found.remarks == ()


def test_a_paired_interval_below_zero_is_worse_and_the_loss_is_positive(built: RunMetrics) -> None:
    found = judged(built, probe=0.9, gains={"linear_probe": gained(-0.1, (-0.16, -0.04))})
    assert found.tone == "worse"
    assert found.headline.endswith("did not beat it, and lost 0.100 [0.040, 0.160].")


@pytest.mark.parametrize(
    ("difference", "interval", "told"),
    [
        (0.02, (-0.01, 0.05), "a difference of +0.020, and its interval [\u22120.010, +0.050]"),
        (0.02, (0.0, 0.05), "a difference of +0.020, and its interval [0.000, +0.050]"),
        (-0.02, (-0.05, 0.01), "did not beat it (difference \u22120.020, and its interval"),
    ],
)
def test_a_paired_interval_over_zero_is_level(
    built: RunMetrics, difference: float, interval: Interval, told: str
) -> None:
    gains = {"linear_probe": gained(difference, interval)}
    found = judged(built, probe=0.8 - difference, gains=gains)
    assert found.tone == "level"
    assert told in found.headline
    assert "includes zero" in found.headline


@pytest.mark.parametrize(
    ("probe", "tone", "told"),
    [
        (0.7, "better", "gained 0.100."),
        (0.78, "level", "a difference of +0.020, which is inside the federated interval"),
        (0.82, "level", "(difference \u22120.020, which is inside the federated interval)"),
        (0.9, "worse", "lost 0.100."),
    ],
)
def test_without_a_paired_gain_the_federated_interval_decides(
    built: RunMetrics, probe: float, tone: str, told: str
) -> None:
    found = judged(built, probe=probe)
    assert found.tone == tone
    assert told in found.headline


def test_it_is_open_when_there_is_nothing_to_compare(built: RunMetrics) -> None:
    alone = judged(built)
    assert alone.tone == "open"
    assert "No linear probe was measured" in alone.headline

    only = judged(built.model_copy(update={"arms": Arms(federated=built.arms.federated)}))
    assert only.tone == "open"
    assert only.headline == (
        "Federated macro F1 0.800 [0.750, 0.850]. No baselines were run beside it, so this figure"
        " alone does not show that training together was worth it."
    )

    unknown = judged(built, ours=None, interval=UNKNOWN, probe=0.7)
    assert unknown.tone == "open"
    assert unknown.headline == (
        "Federated macro F1 \u2013; the linear probe reaches 0.700. The two cannot be compared."
    )
    no_gain = judged(built, probe=0.7, gains={"linear_probe": gained(None)})
    assert no_gain.tone == "open"
    assert no_gain.headline.endswith("The two cannot be compared.")


@pytest.mark.parametrize("gains", [{}, {"linear_probe": gained(0.1)}])
def test_an_unknown_interval_is_not_said_to_hold_anything(
    built: RunMetrics, gains: dict[str, Gain]
) -> None:
    found = judged(built, interval=UNKNOWN, probe=0.7, gains=gains)
    assert found.tone == "open"
    assert found.headline.endswith("a difference of +0.100, whose interval is not known.")


@pytest.mark.parametrize(
    ("colour", "told"),
    [
        (0.5, "does not explain the model's figure"),
        (0.769, "does not explain the model's figure"),
        (0.771, "close to the model"),
        (0.8, "no less than the model"),
        (0.9, "no less than the model"),
    ],
)
def test_colour_close_to_the_model_casts_doubt(built: RunMetrics, colour: float, told: str) -> None:
    (remark,) = judged(built, colour=colour).remarks
    assert remark.startswith(f"Twenty-four colour statistics alone reach {colour:.3f}")
    assert told in remark


def test_the_pooled_model_is_set_beside(built: RunMetrics) -> None:
    gains = {"pooled": gained(-0.05, (-0.08, -0.02))}
    assert judged(built, pooled=0.85, gains=gains).remarks == (
        "Pooling all images in one place reaches 0.850; federated minus pooled:"
        " \u22120.050 [\u22120.080, \u22120.020].",
    )
    assert judged(built, pooled=0.85).remarks == ("Pooling all images in one place reaches 0.850.",)


def test_a_better_softmax_head_is_told(built: RunMetrics) -> None:
    (remark,) = judged(built, softmax=0.81).remarks
    assert "reaches 0.810: here the booster did not help" in remark
    assert judged(built, softmax=0.8).remarks == ()
    assert judged(built, softmax=None).remarks == ()


def test_sites_that_do_better_are_counted_and_the_lowest_is_named(built: RunMetrics) -> None:
    def site(together: Number, alone: Number) -> SiteScores:
        def half(value: Number) -> Summary:
            return Summary(accuracy=0.5, macro_f1=value, examples=9)

        return SiteScores(federated=half(together), alone=half(alone), examples=9)

    sites = {
        "east": site(0.9, 0.8),
        "north": site(0.6, 0.7),
        "south": site(0.8, 0.8),
        "west": site(None, 0.1),
        "lone": site(0.1, 0.0).model_copy(update={"alone": None}),
    }
    (remark,) = judged(built, per_site=sites).remarks
    assert "1 of 3 sites do better" in remark
    assert remark.endswith("the lowest is north: 0.600 against 0.700.")


def test_groups_other_than_patients_are_told(built: RunMetrics) -> None:
    north, south = (built.data[site] for site in ("north", "south"))
    by_cluster = south.model_copy(update={"grouped_by": "stain_cluster"})
    by_slide = north.model_copy(update={"grouped_by": "slide"})
    assert judged(built, data={"north": north, "south": south}).remarks == ()
    (remark,) = judged(built, data={"north": north, "south": by_cluster}).remarks
    assert remark.startswith("Some images were kept apart by stain cluster, because")
    (remark,) = judged(built, data={"north": by_slide, "south": by_cluster}).remarks
    assert remark.startswith("Some images were kept apart by slide or stain cluster, because")


@pytest.mark.parametrize(("groups", "told"), [(7, True), (14, True), (15, False)])
def test_few_test_groups_are_told(built: RunMetrics, groups: int, told: bool) -> None:
    data = {
        site: held.model_copy(update={"groups": held.groups | {"test": groups}})
        for site, held in built.data.items()
    }
    text = f"The test images come from {2 * groups} groups in all"
    assert any(text in remark for remark in judged(built, data=data).remarks) == told


def test_withheld_test_images_are_told(built: RunMetrics) -> None:
    north = built.data["north"].model_copy(update={"withheld": {"test": ("Pro", "Benign")}})
    south = built.data["south"].model_copy(update={"withheld": {"train": ("Pro",)}})
    (remark,) = judged(built, data={"north": north, "south": south}).remarks
    assert remark.endswith("missing from all figures: north (Benign, Pro).")


def test_absent_classes_are_told(built: RunMetrics) -> None:
    classes = ("Benign", "Early", "Pro")
    lacking = build_metrics(sites=("north",), classes=classes, missing=("Early",))
    (remark,) = judged(lacking).remarks
    assert remark.startswith("No test image shows Early:")
    assert remark.endswith("the other 2 classes.")


def test_the_worst_class_is_that_of_lowest_known_sensitivity(built: RunMetrics) -> None:
    scores = built.arms.federated
    benign, pro = scores.per_class["Benign"], scores.per_class["Pro"]

    def with_sensitivity(first: Number, second: Number) -> Scores:
        changed = {
            "Benign": benign.model_copy(update={"sensitivity": first}),
            "Pro": pro.model_copy(update={"sensitivity": second}),
        }
        return scores.model_copy(update={"per_class": changed})

    assert worst_class(with_sensitivity(0.9, 0.4)) == ("Pro", 0.4)
    assert worst_class(with_sensitivity(0.9, None)) == ("Benign", 0.9)
    assert worst_class(with_sensitivity(None, None)) == ("", None)
