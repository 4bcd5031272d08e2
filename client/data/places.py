"""Whether what a manifest's row names is a file, and lies below the folder that it may."""

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from common.errors import DataError

NOT_FOUND = "image not found"
NOT_A_FILE = "not a file"
NOT_ALLOWED = "image that this user may not reach"
OUTSIDE = "path not inside the manifest's folder"
_LISTED = 200  # names shown at home; the rest is counted
_DRIVE = re.compile(r"^[A-Za-z]:/")


class ImageFolder:
    """The folder at which a manifest's paths start.

    Remembers which folders below it lie inside it: a manifest names few folders and many images.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = os.path.realpath(folder)
        self._inside: dict[Path, bool] = {}

    def fault(self, image: Path) -> str | None:
        """Say what is wrong with a path, relative to this folder; None if it may be read.

        Nothing is opened: a pipe would never answer.
        """
        if image.is_absolute() or _DRIVE.match(image.as_posix()) or ".." in image.parts:
            return OUTSIDE
        place = self.folder / image
        try:
            is_link = stat.S_ISLNK(place.lstat().st_mode)
            if not stat.S_ISREG(place.stat().st_mode):
                return NOT_A_FILE
        except PermissionError:
            return NOT_ALLOWED
        except (OSError, ValueError):  # a loop of links, a name too long or with a zero byte
            return NOT_FOUND
        if is_link:
            return None if self._holds(place) else OUTSIDE
        if image.parent not in self._inside:
            self._inside[image.parent] = self._holds(place.parent)
        return None if self._inside[image.parent] else OUTSIDE

    def _holds(self, place: Path) -> bool:
        return Path(os.path.realpath(place)).is_relative_to(self._root)


def check_names(images: Sequence[Path]) -> None:
    """Check that a manifest can name these images, and find them again.

    Raises:
        DataError: a path is not UTF-8, holds a backslash (read as a slash), or begins or ends with
            a space (read as if it were not there).
    """
    unfit = [image for image in images if not _has_fit_name(image)]
    if unfit:
        raise DataError(
            f"{len(unfit)} of {len(images)} images have names that no manifest can hold: not "
            "UTF-8, with a backslash, or with a space at an end",
            fix="rename these files or folders",
            local_detail="\n".join(map(str, unfit[:_LISTED])),
        )


def _has_fit_name(image: Path) -> bool:
    text = image.as_posix()
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\\" not in text and text == text.strip()
