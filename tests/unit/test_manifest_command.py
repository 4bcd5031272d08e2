"""`leukofed-site manifest`, as a hospital calls it."""

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from client.cli.main import main
from client.data.manifest import read_manifest
from client.data.pseudonyms import pseudonym, site_key
from client.site_folder import SiteFolder
from common.imaging.synthetic import calibration_smears
from tests.support.dicom_files import PATIENT_ID, named_in, write_dicom
from tests.support.layouts import TREES, write_image


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["manifest", *map(str, arguments)])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def site(tmp_path: Path) -> SiteFolder:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "site.yaml").touch()
    return SiteFolder(tmp_path / "site")


@pytest.fixture
def smears(tmp_path: Path) -> Path:
    for number, name in enumerate(("2024/1.jpg", "2024/2.jpg", "2025/3.tif", "2025/4.png")):
        write_image(tmp_path / "smears" / name, number)
    return tmp_path / "smears"


def test_a_public_dataset_is_recognised_and_told_in_a_line(tmp_path: Path) -> None:
    TREES["taleqani"].build(tmp_path / "data")
    done = call(tmp_path / "data")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("Recognised: taleqani, Taleqani ALL images")
    assert "      3 images of Benign\n" in done.output
    assert "      9 x left out: not of this layout\n" in done.output
    read = read_manifest(tmp_path / "data" / "manifest.csv", ("Benign", "Early", "Pre", "Pro"))
    assert len(read.examples) == 9
    left_out = rows(tmp_path / "data" / "manifest.left-out.csv")
    assert {row["what"].split("/")[0] for row in left_out} == {"Segmented"}


def test_a_layout_may_be_named_but_must_fit(tmp_path: Path) -> None:
    TREES["pbc"].build(tmp_path)
    assert "no image lies as in the layout c-nmc" in call(tmp_path, "--layout", "c-nmc").output
    done = call(tmp_path, "--layout", "class-folders")
    assert done.exit_code == 0
    assert "Layout: class-folders" in done.output
    assert {row["label"] for row in rows(tmp_path / "manifest.csv")} == {
        "basophil", "ig", "Neutrophil"
    }  # fmt: skip
    assert "the manifest exists already" in call(tmp_path).output


def test_folders_inside_class_folders(tmp_path: Path) -> None:
    for number, name in enumerate(("x/p1/1.png", "x/p2/1.png", "y/p3/1.png")):
        write_image(tmp_path / "data" / name, number)
    out = tmp_path / "list.csv"
    done = call(tmp_path / "data", "--subfolder", "patient", "--out", out)
    assert done.exit_code == 0, done.output
    assert [row["patient"] for row in rows(out)] == ["p1", "p2", "p3"]
    assert rows(out)[0]["path"] == "data/x/p1/1.png"
    refused = call(tmp_path / "data", "--subfolder", "slide", "--layout", "fab")
    assert "says itself what its folders stand for" in refused.output


def test_a_laboratorys_table_becomes_a_manifest_of_pseudonyms(
    tmp_path: Path, smears: Path, site: SiteFolder
) -> None:
    table = tmp_path / "export.csv"
    table.write_bytes(
        "Fallübersicht\r\nMRN;Name;Diagnose;Datei;Objektträger\r\n"
        "00471;Zwergnase;ALL L1;2024\\1.jpg;S-1\r\n471;Zwergnase;Reaktiv;2.jpg;S-2\r\n"
        "472;Geheim;ALL L1;3;S-2\r\n473;Geheim;ALL L1;fort.jpg;S-3\r\n".encode("cp1252")
    )
    done = call(
        smears, "--table", table, "--columns", "path=Datei,label=Diagnose,patient=mrn",
        "--columns", "slide=Objektträger", "--site", site.path,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "Table: 4 lines (CSV, cp1252, semicolons)." in done.output
    assert "      1 x left out: line without an image\n          6: fort.jpg\n" in done.output
    assert "      1 x left out: image that no line names\n          2025/4.png\n" in done.output
    key = site_key(site)
    first, second = pseudonym(key, "patient", "471"), pseudonym(key, "patient", "472")
    listed = rows(smears / "manifest.csv")
    assert [(row["path"], row["label"], row["patient"]) for row in listed] == [
        ("2024/1.jpg", "ALL L1", first), ("2024/2.jpg", "Reaktiv", first),
        ("2025/3.tif", "ALL L1", second),
    ]  # fmt: skip
    slides = [row["slide"] for row in rows(smears / "manifest.csv")]
    assert slides[1] == slides[2] == pseudonym(key, "slide", "S-2")
    written = (smears / "manifest.csv").read_text() + done.output
    written += (smears / "manifest.left-out.csv").read_text()
    assert "471" not in written
    assert named_in(written) == []


def test_patients_without_a_sites_key_are_refused(
    tmp_path: Path, smears: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("path,label,patient\n1.jpg,Pre,17\n")
    done = call(smears, "--table", "t.csv", "--columns", "patient=patient")
    assert (done.exit_code, "name the site's folder with --site" in done.output) == (1, True)
    assert not (smears / "manifest.csv").exists()
    assert call(smears, "--table", "t.csv").exit_code == 0  # without the column, nothing is hidden
    assert "17" not in (smears / "manifest.csv").read_text()


def test_columns_are_written_as_pairs(smears: Path) -> None:
    for wrong in ("path", "path=", "Path=x", "=x", "path=a,path=b"):
        done = call(smears, "--table", "t.csv", "--columns", wrong)
        assert (done.exit_code, "--columns" in done.output) == (2, True)
    assert call(smears, "--columns", "path=x").exit_code == 2
    assert call(smears, "--table", "t.csv", "--layout", "fab").exit_code == 2


def test_dicom_photographs_are_listed_and_name_nobody(tmp_path: Path, site: SiteFolder) -> None:
    data = tmp_path / "data"
    for number, image in enumerate(calibration_smears(4, 4, 32)):
        place = data / ("Pre" if number % 2 else "Benign") / f"{number}.DCM"
        patient = PATIENT_ID if number < 2 else f"geheim 004{number}"
        write_dicom(place, image, elements={"PatientID": patient})
    np.testing.assert_equal(len(list(data.rglob("*.DCM"))), 4)
    done = call(data, "--site", site.path)
    assert done.exit_code == 0, done.output
    found = rows(data / "manifest.csv")
    key = site_key(site)
    expected = {"0": PATIENT_ID, "1": PATIENT_ID, "2": "geheim0042", "3": "geheim0043"}
    assert {Path(row["path"]).stem: row["patient"] for row in found} == {
        name: pseudonym(key, "patient", number) for name, number in expected.items()
    }
    everything = done.output + "".join(
        file.read_text() for file in data.rglob("*") if file.suffix.lower() not in ("", ".dcm")
    )
    assert named_in(everything) == []
    assert len(read_manifest(data / "manifest.csv", ("Benign", "Pre")).examples) == 4


def test_some_images_without_a_patient_are_told(tmp_path: Path, site: SiteFolder) -> None:
    write_image(tmp_path / "data/a/1.png", 1)
    write_dicom(tmp_path / "data/b/1.dcm", next(iter(calibration_smears(4, 1, 32))))
    done = call(tmp_path / "data", "--site", site.path)
    assert "      1 of 2 images have a patient" in done.output
