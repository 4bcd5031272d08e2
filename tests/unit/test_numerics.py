import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from client.site_config import Numerics
from client.training.numerics import autocast, fastest, laid_out, settled_numerics, threads
from common.errors import ConfigError, CorruptFile

FOUND = Numerics(precision="bfloat16", channels_last=True, threads=3)


def never() -> Numerics:
    raise AssertionError("measured again")


def test_a_machine_is_measured_once_and_then_remembered(tmp_path: Path) -> None:
    file = tmp_path / "state" / "numerics.json"
    calls: list[Numerics] = []

    def measure() -> Numerics:
        calls.append(FOUND)
        return FOUND

    assert settled_numerics("auto", file, measure) == FOUND
    assert settled_numerics("auto", file, never) == FOUND
    assert len(calls) == 1


def test_what_the_site_file_says_is_neither_measured_nor_kept(tmp_path: Path) -> None:
    file = tmp_path / "numerics.json"
    assert settled_numerics(FOUND, file, never) == FOUND
    assert not file.exists()


ABSENT = Numerics(device="cuda:97")


def test_a_gpu_that_is_not_there_is_told_with_what_named_it(tmp_path: Path) -> None:
    file = tmp_path / "ward-7.json"
    told = r"compute on cuda:97, and PyTorch finds no such GPU\n.*nvidia-smi"
    with pytest.raises(ConfigError, match=f"{told}.*numerics.device.* in the site file"):
        settled_numerics(ABSENT, file, never)
    file.write_text(ABSENT.model_dump_json())
    with pytest.raises(ConfigError, match=f"{told}.*delete the file") as caught:
        settled_numerics("auto", file, never)
    assert "ward-7" not in str(caught.value)
    assert caught.value.local_detail == str(file)


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "mps", ""])
def test_a_device_has_one_of_two_names(device: str) -> None:
    with pytest.raises(ValidationError, match="device"):
        Numerics(device=device)


@pytest.mark.parametrize(
    "kept", ["", "{", "[]", '{"precision": "float8"}', '{"precision": "float32", "gpu": true}']
)
def test_a_damaged_measurement_is_told_not_replaced(tmp_path: Path, kept: str) -> None:
    file = tmp_path / "ward-7.json"
    file.write_text(kept)
    with pytest.raises(CorruptFile, match=r"cannot be read\n.*delete the file") as caught:
        settled_numerics("auto", file, never)
    assert "ward-7" not in str(caught.value)
    assert caught.value.local_detail == str(file)
    assert file.read_text() == kept


def test_threads_are_given_back_even_after_an_error() -> None:
    before = torch.get_num_threads()
    with threads(Numerics(threads=before + 1)):
        assert torch.get_num_threads() == before + 1
    with pytest.raises(KeyError), threads(Numerics(threads=before + 1)):
        raise KeyError
    assert torch.get_num_threads() == before


def test_autocast_computes_in_the_precision_named() -> None:
    rows = torch.rand(4, 4)
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        with autocast(Numerics.model_validate({"precision": precision})):
            assert (rows @ rows).dtype == dtype


def test_layout_changes_strides_and_no_value() -> None:
    images = torch.rand(2, 3, 4, 5)
    last = laid_out(images, Numerics(channels_last=True))
    assert last.stride() == (60, 1, 15, 3)
    again = laid_out(last, Numerics(channels_last=False))
    assert again.stride() == images.stride() == (60, 20, 5, 1)
    assert torch.equal(last, images)
    assert torch.equal(again, images)


class Work(nn.Module):
    """Stands for a front that takes as long as it is told to."""

    def __init__(self, run: Callable[[Tensor], None]) -> None:
        super().__init__()
        self.run = run

    def forward(self, images: Tensor) -> None:
        self.run(images)


def is_bfloat16(images: Tensor) -> bool:
    return torch.is_autocast_enabled("cpu")


def is_channels_last(images: Tensor) -> bool:
    return images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_fastest_choice_is_found(precision: str, channels_last: bool) -> None:
    quick: Callable[[Tensor], bool] = lambda images: (  # noqa: E731
        is_bfloat16(images) == (precision == "bfloat16")
        and is_channels_last(images) == channels_last
    )

    def run(images: Tensor) -> None:
        time.sleep(0.0 if quick(images) else 0.01)

    found = fastest(Work(run), torch.zeros(2, 3, 4, 4), ["cpu"])
    assert (found.precision, found.channels_last) == (precision, channels_last)
    assert found.threads == torch.get_num_threads()


def test_a_slow_first_pass_does_not_decide() -> None:
    """It pays for memory and kernels, here in the choice that is fastest after it."""
    passes: dict[tuple[bool, bool], int] = {}

    def run(images: Tensor) -> None:
        choice = (is_bfloat16(images), is_channels_last(images))
        passes[choice] = passes.get(choice, 0) + 1
        slow = passes[choice] == 1 if choice == (True, True) else True
        time.sleep(0.01 * slow)

    found = fastest(Work(run), torch.zeros(2, 3, 4, 4), ["cpu"])
    assert (found.precision, found.channels_last) == ("bfloat16", True)
    assert len(passes) == 4
