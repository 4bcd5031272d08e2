"""A study file with the coordinator's signature: what a hospital is asked to approve."""

import re
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from common.errors import ConfigError
from common.signing import is_signed_study, sign_study
from common.study.schema import Study, load_study
from common.yaml_file import dump_yaml

_SIGNED = re.compile(r"^# signed: ([A-Za-z0-9+/=]+)$", re.MULTILINE)


def proposal(study: Study, key: Ed25519PrivateKey, summary: Sequence[str] = ()) -> str:
    """Return the text of a study file, every default filled in, with its signature on top.

    Args:
        study: what is proposed.
        key: the coordinator's.
        summary: lines of comment for whoever opens the file; the signature does not cover them.
    """
    digest = study.digest
    notes = "".join(f"# {' '.join(line.split())}".rstrip() + "\n" for line in summary)
    return f"# digest: {digest}\n# signed: {sign_study(digest, key)}\n{notes}{dump_yaml(study)}"


def read_proposal(path: Path, key: Ed25519PublicKey) -> Study:
    """Read a signed study file.

    Comments and the order of keys may be changed; the signature is on the study's digest.

    Raises:
        ConfigError: it cannot be read, is no study, or this key did not sign it.
    """
    study = load_study(path)
    signed = _SIGNED.search(path.read_text(encoding="utf-8"))
    if signed is None or not is_signed_study(study.digest, signed[1], key):
        raise ConfigError(
            f"study {study.digest[:12]} "
            + (
                "is not signed" if signed is None else "does not carry this coordinator's signature"
            ),
            fix="get the signed study file from the coordinator, and compare the key in the site "
            "file with the coordinator's",
            local_detail=str(path),
        )
    return study
