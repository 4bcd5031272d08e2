"""The panel of every step, and the command that writes it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from client.training.augment import view
from common.digests import digest_file
from common.imaging.pipeline import prepare
from common.imaging.synthetic import calibration_smears
from common.study.augmentation import Augmentation
from common.study.imaging import Imaging
from common.yaml_file import dump_yaml
from simulations.cli.main import main
from simulations.preparation_panel import EVERY_STEP, EVERY_VARIATION, caption, panels
from tests.support.small import small_study

SMEAR = calibration_smears(71, 1, 160)[0]
TITLES = [
    "Original", "Cleaned", "Cropped", "Masked", "Stain normalised", "Contrast",
    "The network's input", "Augmented view 1", "Augmented view 2", "Nuclei by colour",
]  # fmt: skip


@pytest.fixture
def smear(tmp_path: Path) -> Path:
    path = tmp_path / "smear.png"
    cv2.imwrite(str(path), SMEAR[..., ::-1])
    return path


def test_the_pictures_are_those_of_the_pipeline() -> None:
    spoilt = SMEAR.copy()
    spoilt[5, 5] = (255, 0, 0)
    shown = panels(spoilt, EVERY_STEP, EVERY_VARIATION, 3, "key")
    assert [panel.title for panel in shown] == TITLES
    assert not any(panel.is_off for panel in shown)
    assert shown[1].note == "1 lone pixel replaced"
    prepared = prepare(spoilt, EVERY_STEP)
    np.testing.assert_array_equal(shown[6].image, prepared)
    for number in (1, 2):
        expected = view(prepared, number, EVERY_VARIATION, 3, "key")
        np.testing.assert_array_equal(shown[6 + number].image, expected)
    assert shown[9].outlined is not None
    assert shown[9].outlined.shape == shown[9].image.shape[:2]


def test_what_a_study_leaves_out_is_marked() -> None:
    shown = panels(SMEAR, Imaging(contrast="none"), Augmentation(), 1, "key")
    off = [panel.title for panel in shown if panel.is_off]
    assert off == ["Cleaned", "Cropped", "Masked", "Stain normalised", "Contrast"]
    assert caption(Imaging(contrast="none"), Augmentation()) == (
        "clean: none   crop: none   mask: none   scale_bar: keep   stain: none   contrast: none   "
        "size: 299   augmentation: usual"
    )


def test_the_command_writes_a_picture_and_says_what_each_step_did(smear: Path) -> None:
    out = smear.parent / "figures" / "steps.png"
    done = CliRunner().invoke(main, ["preprocess", str(smear), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert [line.partition(":")[0] for line in done.output.splitlines()[:-1]] == TITLES
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert picture.width > 1500


def test_a_studys_own_settings_are_shown(smear: Path) -> None:
    study = smear.parent / "study.yaml"
    study.write_text(dump_yaml(small_study(imaging=Imaging(size=64, stain="reinhard"))))
    out = smear.parent / "steps.png"
    done = CliRunner().invoke(
        main, ["preprocess", str(smear), "--study", str(study), "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    assert "Cleaned:              switched off" in done.output
    assert "Stain normalised:     reinhard" in done.output
    assert "64 x 64 pixels" in done.output
    assert len(digest_file(out)) == 64


def test_what_is_no_image_or_no_png_is_refused(smear: Path) -> None:
    refused = CliRunner().invoke(main, ["preprocess", str(smear), "--out", "steps.txt"])
    assert refused.exit_code == 1
    assert "To fix: let the name after --out end in .png" in refused.output
    smear.write_bytes(b"no image")
    refused = CliRunner().invoke(main, ["preprocess", str(smear)])
    assert refused.exit_code == 1
    assert "an image cannot be decoded" in refused.output
