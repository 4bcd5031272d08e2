"""A hospital's folder with a manifest, a site file, and proposals of its coordinator."""

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.site_config import Cache, Images, Limits, SiteConfig
from common.proposal import proposal
from common.signing import new_key, public_half
from common.study.schema import Study
from common.yaml_file import dump_yaml
from tests.support.small import small_study, write_smears

CLASSES = ("Benign", "Early", "Pre", "Pro")


class SiteOnDisk:
    """Site north; nothing of it runs.

    Args:
        folder: its own.
        limits: of the site file.
    """

    def __init__(self, folder: Path, **limits: Any) -> None:
        self.folder = folder
        self.key: Ed25519PrivateKey = new_key()
        images = folder / "images"
        self.examples = write_smears(images, 24, size=16)
        rows = [f"{one.image.name},{CLASSES[one.label]},{one.group}" for one in self.examples]
        self.manifest = images / "manifest.csv"
        self.manifest.write_text("\n".join(["path,label,patient", *rows, ""]), encoding="utf-8")
        (folder / "approved").mkdir()
        self.config = SiteConfig(
            name="north",
            images=Images(manifest=self.manifest),
            state=folder / "state",
            cache=Cache(folder=folder / "cache"),
            limits=Limits(**limits),
            coordinator=public_half(self.key),
        )
        (folder / "site.yaml").write_text(dump_yaml(self.config), encoding="utf-8")

    def propose(
        self, file: str = "proposal.yaml", key: Ed25519PrivateKey | None = None, **changes: Any
    ) -> tuple[Path, Study]:
        """Write a proposal, by default the coordinator's."""
        study = small_study(**changes)
        path = self.folder / file
        path.write_text(proposal(study, key or self.key), encoding="utf-8")
        return path, study
