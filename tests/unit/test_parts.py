import numpy as np

from common.parts import by_part, flattened

A, B, C = (np.full(2, value) for value in (1.0, 2.0, 3.0))


def test_names_carry_their_part() -> None:
    flat = flattened({"tails": {"net/conv.weight": A, "bias": B}, "heads": {"bias": C}})
    assert list(flat) == ["tails/net/conv.weight", "tails/bias", "heads/bias"]
    assert flat["heads/bias"] is C


def test_slashes_in_an_arrays_name_stay_there() -> None:
    parts = {"tails": {"net/block/conv.weight": A, "/odd": B}, "heads": {"bias": C}}
    found = by_part(flattened(parts))
    assert {part: list(arrays) for part, arrays in found.items()} == {
        part: list(arrays) for part, arrays in parts.items()
    }
    assert found["tails"]["net/block/conv.weight"] is A


def test_a_part_without_arrays_is_not_found_again() -> None:
    assert by_part(flattened({"constants": {}, "heads": {"bias": A}})).keys() == {"heads"}
    assert by_part({}) == flattened({}) == {}
