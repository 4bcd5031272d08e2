"""A run's figures and its page, for all tests of the report."""

from xml.etree.ElementTree import Element

import pytest

from common.metrics import Arms, RunMetrics
from tests.support.metrics_builder import build_metrics
from tests.support.report_reader import read


@pytest.fixture(scope="module")
def metrics() -> RunMetrics:
    return build_metrics()


@pytest.fixture(scope="module")
def page(metrics: RunMetrics) -> Element:
    return read(metrics)


@pytest.fixture(scope="module")
def bare(metrics: RunMetrics) -> RunMetrics:
    return RunMetrics(
        name="bare",
        study_digest=metrics.study_digest,
        synthetic=False,
        classes=metrics.classes,
        arms=Arms(federated=metrics.arms.federated),
    )
