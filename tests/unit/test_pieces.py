"""Messages in pieces: whole again, limited, and checked before the bulk of them is there."""

import itertools

import pytest

from common.pieces import MOST_PIECE, cut, joined
from common.signing import LONGEST_FRONT, new_key, open_signed, sign_request
from common.troubles import Trouble, Unanswered
from common.wire import encode_request
from tests.support.exchanges import request

MANY = 400_000_000


@pytest.mark.parametrize("size", [0, 1, MOST_PIECE, 2 * MOST_PIECE, 3 * MOST_PIECE + 7])
def test_a_message_is_whole_again(size: int) -> None:
    data = bytes(itertools.islice(itertools.cycle(range(251)), size))
    pieces = list(cut(data))
    assert all(len(piece) <= MOST_PIECE for piece in pieces)
    checked: list[bytes] = []
    assert joined(pieces, MANY, MOST_PIECE, checked.append) == data
    assert checked == ([data[:MOST_PIECE]] if size >= MOST_PIECE else [])


def test_of_a_message_that_is_too_large_the_rest_is_not_waited_for() -> None:
    pieces = itertools.repeat(bytes(1000))
    with pytest.raises(Unanswered) as raised:
        joined(pieces, 5000, 10**9, lambda data: None)
    assert raised.value.trouble is Trouble.TOO_LARGE


@pytest.mark.parametrize("is_signed", [True, False])
def test_a_signature_is_judged_before_the_arrays_are_there(is_signed: bool) -> None:
    key = new_key()
    signer = key if is_signed else new_key()
    front = sign_request(encode_request(request()), signer, 1)
    taken = 0

    def pieces() -> itertools.chain[bytes]:
        def bulk() -> object:
            nonlocal taken
            while taken < 40:
                taken += 1
                yield bytes(MOST_PIECE)

        return itertools.chain([front], bulk())  # type: ignore[arg-type]

    def check(data: bytes) -> object:
        return open_signed(data, key.public_key())

    if is_signed:
        assert len(joined(pieces(), MANY, LONGEST_FRONT, check)) > 40 * MOST_PIECE
    else:
        with pytest.raises(Unanswered) as raised:
            joined(pieces(), MANY, LONGEST_FRONT, check)
        assert raised.value.trouble is Trouble.OTHER_KEY
        assert taken <= 3
