"""Pseudonyms of patients: a keyed hash, so that only who holds the site's key can make them.

The key is made once, in the site's folder, and never leaves it. Who has it, and the numbers of
the hospital's patients, can tell whose pseudonym is whose: guard it as the numbers themselves.
"""

import base64
import hmac
import re
import secrets
import stat
import unicodedata
from hashlib import sha256

from client.site_folder import SiteFolder
from common.errors import ConfigError, CorruptFile
from common.whole_file import write_whole

_LENGTH = 12  # characters of base32: two of 100,000 patients meet once in 200 million times
_KEY_BYTES = 32
_IGNORED = re.compile(r"[\s_\u2010-\u2015-]+")


def site_key(folder: SiteFolder) -> bytes:
    """Return the site's key; make it if there is none yet.

    Raises:
        ConfigError: the folder holds no site, or the key is not this user's alone.
        CorruptFile: the key is not what was written.
    """
    file = folder.pseudonym_key
    if not folder.site_file.is_file():
        raise ConfigError(
            "patients' numbers become pseudonyms by a key in the site's folder, and this is none",
            fix="name the site's folder with --site, or make one with `leukofed-site init`",
            local_detail=str(folder.path),
        )
    try:
        if not file.exists():
            write_whole(file, f"{secrets.token_hex(_KEY_BYTES)}\n".encode(), mode=0o600)
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise ConfigError(
                "the key of the pseudonyms can be read by others",
                fix=f"take their rights away: chmod 600 {file.name}",
                local_detail=str(file),
            )
        key = bytes.fromhex(file.read_text(encoding="ascii").strip())
    except OSError as error:
        raise ConfigError(
            f"the key of the pseudonyms cannot be read or made ({type(error).__name__})",
            fix="run this as the user to whom the site's folder belongs",
            local_detail=str(error),
        ) from error
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise CorruptFile(
            "the key of the pseudonyms is damaged",
            fix="bring it back from a backup: with a new one every patient has another pseudonym",
            local_detail=str(file),
        )
    return key


def pseudonym(key: bytes, column: str, value: str) -> str:
    """Return what stands for a value of a column: always the same, and nothing to be guessed from.

    Case, spaces, hyphens and the zeros before a number do not count, because spreadsheets lose
    them: two spellings of one patient must not become two patients.
    """
    spelt = _IGNORED.sub("", unicodedata.normalize("NFKC", value).casefold())
    if spelt.isdecimal():
        spelt = spelt.lstrip("0") or "0"
    made = hmac.new(key, f"{column}\0{spelt}".encode(), sha256).digest()
    return base64.b32encode(made).decode("ascii")[:_LENGTH]
