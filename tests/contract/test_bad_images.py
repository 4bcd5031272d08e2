"""Image files that are wrong, or only look so: each ends in one clear error or a counted skip."""

import csv
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from client.data.manifest import Example
from client.holdings import Holdings, examine
from client.site_config import Cache, Images, SiteConfig
from common.errors import DataError
from common.imaging.decode import decode
from common.imaging.pipeline import prepare
from tests.support.bad_images import CASES
from tests.support.bad_input import Case, in_time
from tests.support.odd_files import vast_png
from tests.support.small import small_study, write_smears

STUDY = small_study()
CLASSES = STUDY.labels.classes
NOBODY = 65534
pytestmark = pytest.mark.filterwarnings("ignore:.*could be decompression bomb")


@pytest.fixture(scope="module")
def smears(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    return write_smears(tmp_path_factory.mktemp("smears"), 12, 32)


@pytest.fixture
def folder(smears: list[Example]) -> Iterator[Path]:
    """Twelve sound smears, in a folder that other users may enter."""
    with tempfile.TemporaryDirectory(prefix="lkf-bad-") as name:
        place = Path(name)
        place.chmod(0o755)
        for smear in smears:
            shutil.copyfile(smear.image, place / smear.image.name)
        yield place
        for closed in place.glob("closed"):
            closed.chmod(0o755)
        shutil.rmtree(f"{name}-other", ignore_errors=True)


def site(folder: Path, smears: list[Example], odd: str) -> SiteConfig:
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("path", "label", "patient"))
        table.writerows((one.image.name, CLASSES[one.label], one.group) for one in smears)
        table.writerow((odd, "Pro", "odd"))
    return SiteConfig(
        name="north", images=Images(manifest=folder / "manifest.csv"), state=folder / "state",
        cache=Cache(folder=folder / "cache"),
    )  # fmt: skip


@contextmanager
def nobody(wanted: bool) -> Iterator[None]:
    """Work as a user who may read no file of root's that is not open to all."""
    if wanted:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if wanted:
            os.seteuid(0)


def used(held: Holdings) -> set[str]:
    return {example.image.name for part in held.parts.values() for example in part}


@pytest.mark.parametrize("case", CASES, ids=[case.given for case in CASES])
def test_one_image(case: Case, folder: Path, smears: list[Example]) -> None:
    if case.needs_root and os.geteuid() != 0:
        pytest.skip("only root can make this file, or become a user who may not read it")
    odd = case.write(folder)
    config = site(folder, smears, odd)
    (folder / "cache").mkdir()
    (folder / "cache").chmod(0o777)
    sound = {smear.image.name for smear in smears}
    if case.outcome == "refused":
        with nobody(case.needs_root), in_time(), pytest.raises(DataError) as caught:
            examine(config, STUDY)
        error = caught.value
        assert error.problem == case.says
        assert error.fix
        assert odd in error.local_detail
        assert odd not in str(error)
        return
    with in_time():
        held = examine(config, STUDY)
    assert used(held) >= sound
    if case.outcome == "left out":
        assert held.excluded == {case.says: 1}
        assert used(held) == sound
        return
    assert held.excluded == {}
    pixels = decode((folder / odd).read_bytes())
    assert prepare(pixels, STUDY.imaging).shape == (64, 64, 3)
    if case.shows is not None:
        assert pixels.shape == case.shows.shape
        np.testing.assert_allclose(pixels.astype(int), case.shows.astype(int), atol=case.within)


def test_a_vast_header_takes_no_memory() -> None:
    """Its pixels would take 900 MB; here are 200."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + 200 * 2**20, hard))
    try:
        with pytest.raises(DataError, match="has more than 67108864 pixels"):
            decode(vast_png(30_000))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
