"""What a changed setting costs: the table of docs/data.md, row by row, counted on the shelves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from client.activations import INSTALLED, Extractor, Versions
from client.data.cache import ActivationCache
from client.data.manifest import Example
from client.site_config import Numerics
from common.model.initial import build_branches
from common.study.imaging import Crop, Imaging
from common.study.network import Backbone
from common.study.schema import Study
from tests.support.shelves import needed_bytes, records_by_kind
from tests.support.small import PAIR, small_study, write_smears

IMAGES, VIEWS = 5, 2


@dataclass(frozen=True)
class Work:
    """One pass of a site's images through its fronts."""

    study: Study = field(default_factory=small_study)
    views: int = VIEWS
    numerics: Numerics = field(default_factory=Numerics)
    versions: Versions = INSTALLED


@dataclass(frozen=True)
class Row:
    """A row of the table: what is changed, and what is computed again."""

    after: Callable[[], Work]
    decoded: int = 0
    views: int = 0
    """Passed through one or more fronts."""
    activations: int = 0
    """Records of them, of both fronts together."""


BOTH = 2 * IMAGES  # of one view of each image, by two fronts


def changed(**settings: Any) -> Work:
    return Work(small_study(**settings))


def varied() -> Work:
    augmentation = small_study().augmentation.model_copy(update={"stain_gain": 0.2})
    return changed(augmentation=augmentation)


ROWS = {
    "nothing": Row(Work),
    "the study's name, sites or schedule": Row(lambda: changed(name="other", quorum=2)),
    "`views`, from 2 to 4": Row(lambda: Work(views=4), 0, 2 * IMAGES, 2 * BOTH),
    "`views`, to fewer": Row(lambda: Work(views=1)),
    "`augmentation`": Row(varied, 0, IMAGES, BOTH),
    "`seed`": Row(lambda: changed(seed=9), 0, IMAGES, BOTH),
    "one backbone, or its cut": Row(
        lambda: changed(
            backbones=(PAIR[0], Backbone(architecture="starnet_s050", cut="stages.1"))
        ),
        0, VIEWS * IMAGES, VIEWS * IMAGES,
    ),
    "`numerics`": Row(lambda: Work(numerics=Numerics(channels_last=True)), 0, 2 * IMAGES, 2 * BOTH),
    "PyTorch or timm": Row(
        lambda: Work(versions=Versions(computing=("new",))), 0, 2 * IMAGES, 2 * BOTH
    ),
    "`imaging`": Row(
        lambda: changed(imaging=Imaging(size=64, crop=Crop(bottom=0.1))), IMAGES, 2 * IMAGES,
        2 * BOTH,
    ),
    "NumPy, OpenCV or Pillow": Row(
        lambda: Work(versions=Versions(preparing=("new",))), IMAGES, 2 * IMAGES, 2 * BOTH
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    return write_smears(tmp_path_factory.mktemp("images"), IMAGES, 64)


def passed(cache: ActivationCache, work: Work, examples: list[Example]) -> int:
    """Do the work; return how many views went through a front."""
    told: list[tuple[int, int]] = []
    extractor = Extractor(
        work.study, build_branches(work.study, None), cache, work.numerics,
        lambda done, of: told.append((done, of)), versions=work.versions,
    )  # fmt: skip
    extractor.fill(examples, work.views)
    return told[-1][0] if told else 0


@pytest.mark.parametrize("name", ROWS)
def test_only_what_depends_on_a_change_is_computed_again(
    tmp_path: Path, examples: list[Example], name: str
) -> None:
    row = ROWS[name]
    with_cache = ActivationCache(tmp_path, 10**9)
    assert passed(with_cache, Work(), examples) == VIEWS * IMAGES
    pixels, numbers = (
        records_by_kind(tmp_path)["prepared"],
        records_by_kind(tmp_path)["activations"],
    )
    assert (pixels, numbers) == (IMAGES, VIEWS * BOTH)

    views = passed(with_cache, row.after(), examples)
    assert views == row.views
    assert records_by_kind(tmp_path)["prepared"] - pixels == row.decoded
    assert records_by_kind(tmp_path)["activations"] - numbers == row.activations
    with_cache.close()


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if not row.decoded])
def test_what_is_not_decoded_again_needs_no_image(tmp_path: Path, name: str) -> None:
    examples = write_smears(tmp_path / "images", IMAGES, 64)
    cache = ActivationCache(tmp_path / "cache", 10**9)
    passed(cache, Work(), examples)
    for example in examples:
        example.image.unlink()
    passed(cache, ROWS[name].after(), examples)
    cache.close()


def test_the_book_lists_these_changes() -> None:
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    table = text.split("## Cache")[1].split("\n## ")[0]
    told = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert [name for name in told if name in ROWS] == list(ROWS)


def test_prepared_images_are_kept_only_where_nothing_needed_lacks_room(
    tmp_path: Path, examples: list[Example]
) -> None:
    ample = ActivationCache(tmp_path / "ample", 10**9)
    passed(ample, Work(views=1), examples)
    limit = needed_bytes(ample.folder) + IMAGES * 64 * 64 * 3 - 1
    scarce = ActivationCache(tmp_path / "scarce", limit)
    passed(scarce, Work(views=1), examples)
    assert records_by_kind(scarce.folder) == {"prepared": 0, "activations": BOTH}
    for cache in (ample, scarce):
        cache.close()
