"""Small trees with the real names of the public datasets; every image is a real, tiny file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from common.imaging.synthetic import calibration_smears

SIDE = 32
_SMEARS: list[NDArray[np.uint8]] = []


@dataclass(frozen=True)
class Tree:
    """What a folder holds, and what a layout must make of it."""

    layout: str
    images: Mapping[str, str]  # label by path
    patients: Mapping[str, str] = field(default_factory=dict)  # by path, where the layout knows
    others: Mapping[str, str] = field(default_factory=dict)  # text of further files
    left_out: tuple[str, ...] = ()  # images that must not be listed

    def build(self, folder: Path) -> Path:
        """Write the tree below a folder; every image differs from the others."""
        for number, name in enumerate([*self.images, *self.left_out, *_DOTFILES]):
            write_image(folder / name, number)
        for name, text in self.others.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        return folder


_DOTFILES = (".hidden/Benign/1.jpg", ".DS_Store.jpg")


def write_image(path: Path, number: int, side: int = SIDE) -> None:
    """Write a small smear as the file that its suffix says."""
    if not _SMEARS:
        _SMEARS.extend(calibration_smears(5, 4, 64))
    path.parent.mkdir(parents=True, exist_ok=True)
    image = cv2.resize(_SMEARS[number % 4], (side, side))
    image = np.roll(image, number, axis=0)
    done, data = cv2.imencode(path.suffix.lower(), image[..., ::-1])
    assert done
    path.write_bytes(data.tobytes())


def _taleqani(top: str) -> dict[str, str]:
    names = {f"{top}Benign/WBC-Benign-{n:03}.jpg": "Benign" for n in (1, 2, 30)}
    for label in ("Early", "Pre", "Pro"):
        names |= {f"{top}{label}/WBC-Malignant-{label}-{n:03}.jpg": label for n in (1, 2)}
    return names


_COPY = "Blood cell Cancer [ALL]/"
_CNMC = "C-NMC_training_data/"
_PRELIMINARY = "C-NMC_test_prelim_phase_data"
TREES = {
    "taleqani": Tree(
        "taleqani",
        _taleqani("Original/"),
        left_out=tuple(_taleqani("Segmented/")),
        others={"readme.txt": "about"},
    ),
    "taleqani, mixed case and doubled numbers": Tree(
        "taleqani",
        {"BENIGN/wbc-benign-001.JPG": "Benign", "BENIGN/WBC-Benign-001 (1).jpg": "Benign",
         "pro/WBC-MALIGNANT-PRO-001.jpeg": "Pro"},
    ),
    "taleqani copy": Tree(
        "taleqani-copy",
        {f"{_COPY}Benign/Snap_001.jpg": "Benign", f"{_COPY}Benign/Sap_013 (1).jpg": "Benign",
         f"{_COPY}[Malignant] Pre-B/Snap_001.jpg": "Pre",
         f"{_COPY}[Malignant] Pro-B/Snap_001.JPG": "Pro",
         f"{_COPY}[malignant] Early Pre-B/Sap_013.jpg": "Early",
         f"{_COPY}[malignant] Early Pre-B/Sap_013 (1).jpg": "Early"},
    ),
    "c-nmc": Tree(
        "c-nmc",
        {f"{_CNMC}fold_0/all/UID_20_10_1_all.bmp": "ALL",
         f"{_CNMC}fold_1/all/UID_21_1_1_all.bmp": "ALL",
         f"{_CNMC}fold_2/all/UID_11_10_1_all.bmp": "ALL",
         f"{_CNMC}fold_0/hem/UID_H3_2_1_hem.bmp": "normal",
         f"{_CNMC}fold_1/hem/UID_h10_2_1_hem.bmp": "normal",
         f"{_CNMC}fold_2/hem/uid_H4_2_9_hem.BMP": "normal",
         f"{_CNMC}fold_2/hem/UID_h5_2_9_hem.bmp": "normal",
         f"{_PRELIMINARY}/1.bmp": "ALL", f"{_PRELIMINARY}/2.bmp": "normal"},
        patients={f"{_CNMC}fold_0/all/UID_20_10_1_all.bmp": "20+21",
                  f"{_CNMC}fold_1/all/UID_21_1_1_all.bmp": "20+21",
                  f"{_CNMC}fold_2/all/UID_11_10_1_all.bmp": "11",
                  f"{_CNMC}fold_0/hem/UID_H3_2_1_hem.bmp": "H3+H10",
                  f"{_CNMC}fold_1/hem/UID_h10_2_1_hem.bmp": "H3+H10",
                  f"{_CNMC}fold_2/hem/uid_H4_2_9_hem.BMP": "H2+H4+H5+H6",
                  f"{_CNMC}fold_2/hem/UID_h5_2_9_hem.bmp": "H2+H4+H5+H6",
                  f"{_PRELIMINARY}/1.bmp": "51+75+78", f"{_PRELIMINARY}/2.bmp": "H2+H4+H5+H6"},
        others={f"{_PRELIMINARY}_labels.csv":
                "Patient_ID,new_names,labels\n"
                "UID_51_29_1_all.bmp,1.bmp,1\nUID_h6_1_1_hem.bmp,2.bmp,0\n"},
        left_out=("C-NMC_test_final_phase_data/1.bmp", "C-NMC_test_final_phase_data/2.bmp"),
    ),
    "all-idb1": Tree(
        "all-idb",
        {"ALL_IDB1/im/Im001_1.jpg": "ALL", "ALL_IDB1/im/Im034_0.JPG": "normal"},
        others={"ALL_IDB1/xyc/Im001_1.xyc": "12\t 30\n3 4 \n\n", "ALL_IDB1/xyc/Im034_0.xyc": "\n"},
    ),
    "all-idb2": Tree(
        "all-idb",
        {"ALL_IDB2/img/Im001_1.tif": "ALL", "ALL_IDB2/img/Im131_0.tif": "normal"},
    ),
    "pbc": Tree(
        "pbc",
        {"PBC_dataset_normal_DIB/basophil/BA_100102.jpg": "basophil",
         "PBC_dataset_normal_DIB/ig/MMY_1234.jpg": "ig",
         "PBC_dataset_normal_DIB/ig/IG_12.jpg": "ig",
         "PBC_dataset_normal_DIB/Neutrophil/BNE_9.JPG": "neutrophil"},
        others={"PBC_dataset_normal_DIB/neutrophil/.DS_169665.jpg": "Mac"},
    ),
    "fab": Tree(
        "fab",
        {"ALL-L1/a (1).png": "L1", "ALL-L1/a (2).png": "L1", "all l2/b.png": "L2",
         "FAB_L3/deep/c.tiff": "L3"},
    ),
    "class folders": Tree(
        "class-folders",
        {"export/Pre B [x]/Bild 1.jpg": "Pre B [x]", "export/Pre B [x]/Bild 1 (1).jpg": "Pre B [x]",
         "export/Reaktiv/2.BMP": "Reaktiv", "export/Reaktiv/2024/3.tif": "Reaktiv"},
        others={"export/notes.txt": "x"},
    ),
}  # fmt: skip
