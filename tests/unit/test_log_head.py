from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import CorruptFile
from common.log_head import EMPTY, LogHead, heads_told, split_head, with_head
from common.wire import WireError

laws = settings(deadline=None, derandomize=True)
HEADS = st.builds(
    LogHead,
    lines=st.integers(0, 2**63 - 1),
    digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
)


@laws
@given(HEADS, st.binary())
def test_head_and_reply_come_back(head: LogHead, body: bytes) -> None:
    assert split_head(with_head(body, head)) == (head, body)


def test_the_frame_by_hand() -> None:
    framed = with_head(b"reply", LogHead(lines=258, digest="ab" * 32))
    assert framed == b"LKH1" + bytes(6) + b"\x01\x02" + b"\xab" * 32 + b"reply"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"LKH1",
        with_head(b"", EMPTY)[:-1],
        b"LKF1" + bytes(60),
        b"LKH1" + b"\x80" + bytes(60),  # more lines than any log has
    ],
)
def test_what_does_not_begin_with_a_head_is_refused(data: bytes) -> None:
    with pytest.raises(WireError, match="tells the head"):
        split_head(data)


@laws
@given(st.binary(max_size=60) | st.binary(max_size=60).map(b"LKH1".__add__))
def test_any_bytes_are_a_head_or_refused(data: bytes) -> None:
    try:
        head, body = split_head(data)
    except WireError:
        return
    assert with_head(body, head) == data


def test_heads_are_those_that_a_site_told_in_exchanges() -> None:
    first, second = LogHead(lines=1, digest="a" * 64), LogHead(lines=4, digest="b" * 64)
    events: list[dict[str, Any]] = [
        {"event": "round"},
        {"event": "exchange", "log_heads": {"north": first.model_dump()}},
        {"event": "exchange"},
        {"event": "exchange", "log_heads": {"south": EMPTY.model_dump()}},
        {"event": "late", "log_heads": {"north": EMPTY.model_dump()}},
        {"event": "exchange", "log_heads": {"north": second.model_dump()}},
    ]
    assert list(heads_told(events, "north")) == [first, second]


@pytest.mark.parametrize("heads", [7, None, [], {"north": {}}, {"north": {"lines": -1}}])
def test_other_things_in_their_place_are_named(heads: Any) -> None:
    with pytest.raises(CorruptFile, match="no usable head of the log of north"):
        list(heads_told([{"event": "exchange", "log_heads": heads}], "north"))
