import csv
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from common.digests import digest_arrays
from common.errors import ConfigError
from common.imaging.colour import colour_statistics
from common.imaging.pipeline import prepare, to_model_input
from common.imaging.synthetic import (
    CLASSES,
    PROFILES,
    SiteStyle,
    calibration_smears,
    draw_patient,
    random_traits,
    site_style,
    smear_field,
)
from common.imaging.synthetic_cells import chromatin, scatter
from common.model.chain import build_backbone, check_is_chain
from common.model.weights import read_weights
from common.seeds import stream
from common.study.imaging import Imaging
from common.study.network import Backbone, Network
from simulations.pretrain import ARCHITECTURES, PretrainSettings, pretrain
from simulations.synthetic import SiteShare, SyntheticSettings, write_dataset

Image = NDArray[np.uint8]

PLAIN = SiteStyle(
    stains=((0.72, 1.10, 0.42), (0.36, 0.28, 0.08), (0.10, 0.34, 0.26)),
    light=(0.95, 0.94, 0.95),
    vignette=0.0,
    scale=1.0,
    blur=0.5,
    noise=1.0,
    jpeg=95,
    red_cells=14,
)


def smear_image(
    generator: np.random.Generator, label: int, style: SiteStyle, size: int
) -> NDArray[np.uint8]:
    """Draw one field of a new patient of a class."""
    return smear_field(generator, draw_patient(generator, PROFILES[label]), style, size)


SMALL = SyntheticSettings(
    sites=(
        SiteShare(name="here", train=(2, 1, 1, 1)),
        SiteShare(name="there", train=(1, 1, 1, 3)),
    ),
    test=2,
    fields=2,
    size=48,
)


def smears(label: int, count: int, size: int = 128) -> list[Image]:
    """Fields of so many patients, all from one laboratory."""
    return [smear_image(stream(3, label, n), label, PLAIN, size) for n in range(count)]


def nuclei(image: Image) -> NDArray[np.float64]:
    """Areas of what is dark in green and large enough, measured from the picture alone."""
    dark = (cv2.GaussianBlur(image[..., 1], (0, 0), 1.0) < 135).astype(np.uint8)
    _, _, found, _ = cv2.connectedComponentsWithStats(dark)
    areas = np.asarray(found, np.float64)[1:, cv2.CC_STAT_AREA]
    return areas[areas > 80]


def test_the_same_stream_draws_the_same_smear() -> None:
    first, again, other = (smear_image(stream(1, n), 2, PLAIN, 96) for n in (0, 0, 1))
    assert first.shape == (96, 96, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert np.mean(first != other) > 0.5


def test_classes_differ_in_the_size_of_their_nuclei() -> None:
    sizes = [np.median(np.concatenate([nuclei(i) for i in smears(c, 12)])) for c in range(4)]
    expected = [np.pi * profile.nucleus**2 for profile in PROFILES]
    assert sizes == sorted(sizes)
    np.testing.assert_allclose(sizes, expected, rtol=0.3)


def test_classes_agree_in_the_area_that_is_stained() -> None:
    areas = np.array([[nuclei(image).sum() for image in smears(c, 40)] for c in range(4)])
    means = areas.mean(axis=1)
    assert np.abs(means - means.mean()).max() < 0.5 * areas.std(axis=1).mean()


def test_classes_agree_in_colour() -> None:
    """Under one laboratory, where nothing but the patient blurs it."""
    rows = np.array([[i.mean(axis=(0, 1)) for i in smears(c, 40)] for c in range(4)])
    means, deviation = rows.mean(axis=1), rows.std(axis=1).mean(axis=0)
    assert (np.abs(means - means.mean(axis=0)) < 0.6 * deviation).all()


def test_the_field_of_view_does_not_depend_on_the_size() -> None:
    small, large = (
        np.mean(
            [
                nuclei(prepare(image, Imaging(size=128, contrast="none"))).sum()
                for image in smears(1, 12, size)
            ]
        )
        for size in (96, 192)
    )
    assert small == pytest.approx(large, rel=0.2)


def test_colour_statistics_do_not_tell_the_class_of_new_patients() -> None:
    rows, labels, held_back = [], [], []
    for site in ("a", "b", "c"):
        style = site_style(stream(5, site))
        for number in range(4 * 12):
            generator, label = stream(5, site, number), number % 4
            patient = draw_patient(generator, PROFILES[label])
            for _ in range(2):
                rows.append(colour_statistics(smear_field(generator, patient, style, 96)))
                labels.append(label)
                held_back.append(number >= 32)
    x, y, held = np.array(rows), np.array(labels), np.array(held_back)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    predicted = model.fit(x[~held], y[~held]).predict(x[held])
    assert f1_score(y[held], predicted, average="macro") < 0.5


def test_coarse_and_fine_chromatin_have_the_same_depth_behind_a_usual_scanner() -> None:
    deviations = []
    for clump in (1.0, 1.6, 2.4):
        pattern = chromatin(stream(1, str(clump)), 128, clump)
        assert abs(float(pattern.mean())) < 1e-3
        deviations.append(float(cv2.GaussianBlur(pattern, (0, 0), 0.6).std()))
    np.testing.assert_allclose(deviations, np.mean(deviations), rtol=0.08)


def test_discs_are_laid_apart_inside_the_square() -> None:
    radii = [10.0, 8.0, 6.0, 6.0]
    laid = np.array(scatter(stream(1), 128, radii, 0.0))
    assert ((laid > 0) & (laid < 128)).all()
    for i in range(len(radii)):
        for j in range(i):
            assert np.hypot(*(laid[i] - laid[j])) > radii[i] + radii[j]


def test_calibration_smears_are_as_many_and_as_large_as_asked() -> None:
    images = calibration_smears(seed=1, count=3, size=64)
    assert [image.shape for image in images] == [(64, 64, 3)] * 3
    np.testing.assert_array_equal(images[1], calibration_smears(1, 2, 64)[1])


def rows_of(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_the_manifest_lists_what_was_asked_for(tmp_path: Path) -> None:
    rows = rows_of(write_dataset(tmp_path / "smears", SMALL))
    patients = {(r["patient"], r["site"], r["label"], r["split"]) for r in rows}
    assert len({patient for patient, *_ in patients}) == len(patients)  # one site, class, split
    assert set(Counter(r["patient"] for r in rows).values()) == {SMALL.fields}
    drawn = Counter((site, label, split) for _, site, label, split in patients)
    for site in SMALL.sites:
        for label, train in zip(CLASSES, site.train, strict=True):
            assert drawn[site.name, label, "train"] == train
            assert drawn[site.name, label, "validation"] == SMALL.validation
            assert drawn[site.name, label, "test"] == SMALL.test


def test_every_image_is_there_and_its_name_tells_no_class(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path / "smears", SMALL)
    for row in rows_of(manifest):
        image = cv2.imread(str(manifest.parent / row["path"]))
        assert image is not None
        assert image.shape == (SMALL.size, SMALL.size, 3)
        assert not any(name.lower() in row["path"].lower() for name in CLASSES)


def test_a_dataset_is_written_once(tmp_path: Path) -> None:
    drawn: list[int] = []
    manifest = write_dataset(tmp_path / "smears", SMALL, lambda done, of: drawn.append(of))
    assert drawn == [len(rows_of(manifest))] * len(drawn)
    before = {path: path.stat().st_mtime_ns for path in manifest.parent.rglob("*")}
    write_dataset(tmp_path / "smears", SMALL)
    assert {path: path.stat().st_mtime_ns for path in manifest.parent.rglob("*")} == before


def test_other_settings_replace_a_dataset(tmp_path: Path) -> None:
    folder = tmp_path / "smears"
    first = rows_of(write_dataset(folder, SMALL))
    fewer = SyntheticSettings(sites=SMALL.sites[:1], test=1, fields=1, size=48)
    second = rows_of(write_dataset(folder, fewer))
    assert len(second) < len(first)
    assert len(list(folder.rglob("*.png"))) == len(second)
    assert [path.name for path in tmp_path.iterdir()] == ["smears"]


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years of work")
    with pytest.raises(ConfigError, match="something else"):
        write_dataset(tmp_path, SMALL)
    assert (tmp_path / "thesis.txt").exists()


TINY = PretrainSettings(images=24, held_back=8, size=64, passes=2, batch_size=8, threads=1)


def test_pretraining_repeats_its_bits_and_writes_what_can_be_read(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    first, again = (pretrain(tmp_path / name, TINY) for name in ("a", "b"))
    assert [one.digest for one in first] == [one.digest for one in again]
    assert tuple(one.architecture for one in first) == ARCHITECTURES
    assert torch.get_num_threads() == threads
    for one in first:
        backbone = Backbone(architecture=one.architecture, cut="stages.2")
        arrays = read_weights(Network(weights="imagenet"), backbone, tmp_path / "a")
        assert digest_arrays(arrays) == one.digest
        build_backbone(backbone, arrays)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_bundled_weights_are_small_whole_and_cut_where_the_scenario_cuts(
    architecture: str,
) -> None:
    backbone = Backbone(architecture=architecture, cut="stages.2")
    arrays = read_weights(Network(weights="bundled"), backbone, None)
    file = Path(__file__).parents[2] / "configs" / "weights" / f"{architecture}.safetensors"
    with safe_open(file, "numpy") as opened:
        account = opened.metadata()
    assert account["digest"] == digest_arrays(arrays)
    assert PretrainSettings(**json.loads(account["settings"])) == PretrainSettings()
    assert file.stat().st_size < 1_000_000
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float16)}
    check_is_chain(build_backbone(backbone, arrays), backbone, 128)


def test_the_bundled_weights_see_the_size_of_nuclei_in_new_smears() -> None:
    """Regression on their features, against the truth that the smears were drawn from."""
    images, truth = [], []
    for number in range(160):
        generator = stream(11, number)
        patient, style = draw_patient(generator, random_traits(generator)), site_style(generator)
        images.append(prepare(smear_field(generator, patient, style, 128), Imaging(size=128)))
        truth.append(np.log(patient.traits.nucleus * style.scale))
    inputs = torch.from_numpy(to_model_input(np.stack(images)))
    for architecture in ARCHITECTURES:
        backbone = Backbone(architecture=architecture, cut="stages.2")
        arrays = read_weights(Network(weights="bundled"), backbone, None)
        with torch.inference_mode():
            features = build_backbone(backbone, arrays)(inputs).numpy()
        strongest = np.linalg.svd(features - features.mean(axis=0))[0][:, :10]
        model = LinearRegression().fit(strongest[:100], truth[:100])
        assert model.score(strongest[100:], truth[100:]) > 0.6
