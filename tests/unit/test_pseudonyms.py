"""Pseudonyms: the same for the same patient, and only with the site's key."""

import base64
import os
import stat
from hashlib import sha256
from pathlib import Path

import pytest

from client.data.pseudonyms import pseudonym, site_key
from client.site_folder import SiteFolder
from common.errors import ConfigError, CorruptFile


@pytest.fixture
def folder(tmp_path: Path) -> SiteFolder:
    (tmp_path / "site.yaml").touch()
    return SiteFolder(tmp_path)


def hmac_sha256(key: bytes, text: bytes) -> bytes:
    """RFC 2104, written out."""
    block = key.ljust(64, b"\0")
    inner = sha256(bytes(byte ^ 0x36 for byte in block) + text).digest()
    return sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()


def test_it_is_a_keyed_hash() -> None:
    expected = base64.b32encode(hmac_sha256(b"k" * 32, b"patient\0p17")).decode()[:12]
    assert pseudonym(b"k" * 32, "patient", "P 17") == expected


def test_spellings_of_one_number_are_one_patient() -> None:
    key = b"k" * 32
    made = {
        pseudonym(key, "patient", text) for text in ("0042", "42", " 42 ", "4 2", "\uff14\uff12")
    }
    assert len(made) == 1
    others = {pseudonym(key, "patient", text) for text in ("42", "43", "420", "P042", "P42", "0")}
    assert len(others) == 6
    assert pseudonym(key, "slide", "42") not in made
    assert pseudonym(b"l" * 32, "patient", "42") not in made


def test_the_key_is_made_once_for_its_owner_alone(folder: SiteFolder) -> None:
    key = site_key(folder)
    assert (len(key), stat.S_IMODE(folder.pseudonym_key.stat().st_mode)) == (32, 0o600)
    assert site_key(folder) == key


def test_another_site_has_another_key(folder: SiteFolder, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "site.yaml").touch()
    assert site_key(SiteFolder(tmp_path / "other")) != site_key(folder)


def test_a_folder_that_is_no_site_gets_no_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="and this is none"):
        site_key(SiteFolder(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_others_can_read_is_refused(folder: SiteFolder) -> None:
    site_key(folder)
    folder.pseudonym_key.chmod(0o640)
    with pytest.raises(ConfigError, match="can be read by others"):
        site_key(folder)


@pytest.mark.parametrize("text", ["", "abc", "zz" * 32, "ab" * 31, "ä" * 64])
def test_a_damaged_key_is_never_replaced(folder: SiteFolder, text: str) -> None:
    folder.pseudonym_key.write_text(text, encoding="utf-8")
    folder.pseudonym_key.chmod(0o600)
    with pytest.raises(CorruptFile, match="damaged"):
        site_key(folder)
    assert folder.pseudonym_key.read_text(encoding="utf-8") == text


def test_a_key_that_this_user_may_not_read(folder: SiteFolder) -> None:
    if os.geteuid() == 0:
        folder.pseudonym_key.mkdir(mode=0o700)  # root reads every file, but no folder as one
    else:
        folder.pseudonym_key.touch(mode=0o000)
    with pytest.raises(ConfigError, match="cannot be read or made"):
        site_key(folder)
