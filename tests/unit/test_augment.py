import numpy as np

from client.training.augment import view
from common.seeds import stream
from common.study.augmentation import Augmentation

PLAIN = Augmentation()
IMAGE = stream(1, "test image").integers(0, 256, (12, 12, 3)).astype(np.uint8)


def test_the_first_view_is_the_image() -> None:
    assert view(IMAGE, 0, PLAIN, 7, "a") is IMAGE


def test_a_view_is_the_same_every_time() -> None:
    np.testing.assert_array_equal(view(IMAGE, 3, PLAIN, 7, "a"), view(IMAGE, 3, 7, "a"))


def test_views_differ_between_images_numbers_and_studies() -> None:
    views = [
        view(IMAGE, n, PLAIN, s, k)
        for n, s, k in ((1, 7, "a"), (2, 7, "a"), (1, 8, "a"), (1, 7, "b"))
    ]
    assert len({v.tobytes() for v in views}) == 4


def test_black_stays_darker_than_white_and_shape_and_type_stay() -> None:
    half = np.zeros((8, 8, 3), np.uint8)
    half[:, 4:] = 250
    for number in range(1, 20):
        varied = view(half, number, PLAIN, 1, "k")
        assert varied.shape == half.shape
        assert varied.dtype == np.uint8
        assert np.sort(varied.reshape(-1, 3).mean(axis=1))[0] < 30
        assert (varied > 200).mean() > 0.4
