import re

from common.division import Colour, PartitionTold
from server.report.colour_figure import colour_figure
from server.report.page import render_report
from tests.support.metrics_builder import CLASSES, SITES, build_metrics

COLOURS = {
    site: {
        name: Colour(
            images=40,
            rgb=(200 - 10 * s, 150 + 5 * c, 180),
            lab=(70 - s, 20 + 3 * s + c, -15 + 2 * c),
        )
        for c, name in enumerate(CLASSES)
        if (s, c) != (1, 2)
    }
    for s, site in enumerate(SITES)
}
TOLD = PartitionTold(
    by="dirichlet", sha256="ab" * 32, flipped={"south": 17},
    shifts={"west": {"blue": 1.3, "jpeg": 60}}, colours=COLOURS,
)  # fmt: skip


def test_the_patches_have_the_mean_colours() -> None:
    drawn = str(colour_figure(COLOURS, CLASSES))
    for own in COLOURS.values():
        for colour in own.values():
            shade = "#" + "".join(f"{round(level):02x}" for level in colour.rgb)
            assert shade in drawn
    assert "south Benign L* 69, a* 23, b* -15" in drawn
    assert "south Pre" not in drawn


def test_the_report_says_how_sites_were_made() -> None:
    page = render_report(build_metrics(partition=TOLD))
    text = " ".join(re.sub("<[^>]+>", " ", page).split())
    assert "divided by dirichlet . The partition" in text
    assert TOLD.sha256 in text
    assert "Images of west were shifted: blue 1.3, jpeg 60." in text
    assert "south trained on 17 images with a wrong label" in text
    assert "Mean colour of images by site and class" in page
