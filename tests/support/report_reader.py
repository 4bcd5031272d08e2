"""Reads a report's page back as a browser would."""

import json
from html.parser import HTMLParser
from xml.etree.ElementTree import Element, TreeBuilder

from common.figures import Interval, Number
from common.metrics import RunMetrics, Scores
from server.report.page import render_report

DASH = "\u2013"
MEASURES = ("macro_f1", "accuracy", "macro_auc")
Table = list[list[str]]


class Reader(HTMLParser):
    """Builds a tree; refuses elements that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.builder = TreeBuilder()
        self.unclosed: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        if tag in {"meta", "br"}:
            self.builder.end(tag)
        else:
            self.unclosed.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed.pop() == tag
        self.builder.end(tag)

    def handle_data(self, data: str) -> None:
        if self.unclosed:
            self.builder.data(data)


def read(metrics: RunMetrics) -> Element:
    reader = Reader()
    reader.feed(render_report(metrics))
    reader.close()
    assert reader.unclosed == []
    return reader.builder.close()


def text(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def table(page: Element, label: str) -> Table:
    rows = page.findall(f'.//div[@aria-label="{label}"]//tr')
    assert rows, label
    return [[text(cell) for cell in row] for row in rows]


def listed(page: Element, kind: str) -> dict[str, str]:
    return {
        text(term): text(value)
        for found in page.findall(f'.//dl[@class="{kind}"]')
        for term, value in zip(found.iter("dt"), found.iter("dd"), strict=True)
    }


def number(value: Number, form: str = ".3f") -> str:
    return DASH if value is None else format(value, form).replace("-", "\u2212")


def with_interval(value: Number, interval: Interval, form: str = ".3f") -> str:
    low, high = interval
    extent = "" if low is None else f" [{number(low, form)}, {number(high, form)}]"
    return number(value, form) + extent


def cells(scores: Scores, measure: str) -> str:
    return with_interval(getattr(scores, measure), getattr(scores.interval, measure))


def renamed(metrics: RunMetrics, names: dict[str, str]) -> RunMetrics:
    written = metrics.model_dump_json()
    for old, new in names.items():
        written = written.replace(json.dumps(old), json.dumps(new))
    return RunMetrics.model_validate_json(written)
