import pytest

from common.sizes import size
from server.report import words

DASH = "\u2013"
MINUS = "\u2212"


@pytest.mark.parametrize(
    ("value", "written"),
    [(None, DASH), (0.0, "0.000"), (0.8125, "0.812"), (0.9996, "1.000"), (-0.25, f"{MINUS}0.250")],
)
def test_number(value: float | None, written: str) -> None:
    assert words.number(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, DASH),
        (0.0421, "+0.042"),
        (-0.0421, f"{MINUS}0.042"),
        (0.0, "0.000"),
        (0.0004, "0.000"),
        (-0.0004, "0.000"),
    ],
)
def test_signed(value: float | None, written: str) -> None:
    assert words.signed(value) == written


def test_span() -> None:
    assert words.span((0.8, 0.9)) == " [0.800, 0.900]"
    assert words.span((-0.01, 0.02), words.signed) == f" [{MINUS}0.010, +0.020]"
    assert words.span((None, 0.9)) == words.span((0.8, None)) == words.span((None, None)) == ""


@pytest.mark.parametrize(
    ("count", "written"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (999_940, "999.9 kB"),
        (999_960, "1.0 MB"),
        (21_800_000, "21.8 MB"),
        (999_990_000, "1.00 GB"),
        (1_234_000_000_000, "1234.00 GB"),
    ],
)
def test_size_is_in_powers_of_1000(count: int, written: str) -> None:
    assert size(count) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0.0 s"),
        (99.94, "99.9 s"),
        (99.96, "1 min 40 s"),
        (754, "12 min 34 s"),
        (3599.6, "1 h 0 min"),
        (7384, "2 h 3 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_duration(seconds: float, written: str) -> None:
    assert words.duration(seconds) == written


def test_spoken() -> None:
    assert words.spoken("stain_cluster") == "stain cluster"
    assert words.spoken("too-small") == "too small"
