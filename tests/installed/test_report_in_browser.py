"""The report in a real browser: it fits a desktop and a telephone, and says nothing is wrong."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from server.report.page import render_report
from tests.support.metrics_builder import build_metrics, federated_alone, with_losses

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
POLICY = """<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; style-src 'unsafe-inline'">"""
MEASURE = """<script>
const wide = [...document.querySelectorAll("body *")].filter(one =>
  !one.closest(".wide, pre, svg, .skip") && one.getBoundingClientRect().right > innerWidth + 1);
document.body.setAttribute("data-width", document.documentElement.scrollWidth);
document.body.setAttribute("data-wide", wide.map(one => one.tagName).join(" "));
document.body.setAttribute("data-drawn", [...document.querySelectorAll("svg")].filter(one =>
  one.getBoundingClientRect().height > 80).length);
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not on this machine")
@pytest.mark.parametrize("width", [1280, 500])
@pytest.mark.parametrize("kind", ["bench", "alone", "lossy rehearsal"])
def test_the_page_is_no_wider_than_its_window(tmp_path: Path, width: int, kind: str) -> None:
    page = tmp_path / "report.html"
    metrics = build_metrics(sites=("a-hospital-with-a-long-name", "b", "c"))
    if kind != "bench":
        metrics = federated_alone(metrics)
    if kind == "lossy rehearsal":
        metrics = with_losses(metrics).model_copy(update={"rehearsal": True})
    text = render_report(metrics)
    # The page lets no script run; ours is let in for the test alone.
    assert POLICY in text
    measured = text.replace(POLICY, "").replace("</body>", f"{MEASURE}</body>")
    page.write_text(measured, encoding="utf-8")
    done = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--dump-dom",
         page.as_uri()], capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    found = dict(re.findall(r'data-(width|wide|drawn)="([^"]*)"', done.stdout))
    assert int(found["width"]) <= width
    assert found["wide"] == ""
    assert int(found["drawn"]) == text.count("<svg")
