"""A site on disk that has taken part in a run; cache, outbox and log hold what may be forgotten."""

from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner, Result

from client.activations import Extractor
from client.cli.main import main
from client.data.cache import ActivationCache
from client.data.manifest import Example
from client.data.shelf import Shelf, is_shelf, read_card
from client.egress.door import Door
from client.egress.log import EgressLog
from client.egress.outbox import Outbox
from client.holdings import examine
from client.site_config import Numerics
from common.model.network import Branch
from tests.support.exchanges import reply, request
from tests.support.site_folder import CLASSES, SiteOnDisk
from tests.support.small import small_study

STUDY = small_study(size=32)
IMAGES_OF_A_PATIENT = 4


class Hospital(SiteOnDisk):
    """A site of six patients in two wards, which has taken part in a run."""

    def __init__(self, folder: Path, branches: Sequence[Branch]) -> None:
        super().__init__(folder)
        self.write(range(len(self.examples)))
        self.outbox = Outbox(self.config.state / "outbox")
        self.log = EgressLog(self.config.state / "egress.jsonl")
        examine(self.config, STUDY)
        cache = ActivationCache(self.config.cache.folder, 10**9)
        extractor = Extractor(STUDY, branches, cache, Numerics())
        self.features = extractor.features(self.examples, 2, "tails")
        cache.close()
        door = Door(self.config.state, "north", self.config.limits)
        self.asked = [request(study=STUDY.digest, exchange=exchange) for exchange in range(2)]
        for one in self.asked:
            door.release(one, reply(one))

    def write(self, numbers: Sequence[int]) -> None:
        """List these images in the manifest."""
        rows = ["path,label,patient,ward"]
        for i in numbers:
            patient = i // IMAGES_OF_A_PATIENT
            one = self.examples[i]
            name = f"{one.image.name},{CLASSES[one.label]},P-{patient},{'AB'[patient % 2]}"
            rows.append(name)
        self.manifest.write_text("\n".join([*rows, ""]), encoding="utf-8")

    def of(self, *patients: int) -> list[Example]:
        return [e for i, e in enumerate(self.examples) if i // IMAGES_OF_A_PATIENT in patients]

    def shelves(self) -> list[Shelf]:
        found = []
        for folder in self.config.cache.folder.iterdir():
            if is_shelf(folder):
                card = read_card(folder)
                assert card is not None
                found.append(Shelf(folder, card.shape, card.dtype))
        return found

    def bytes_of(self, examples: Sequence[Example]) -> list[bytes]:
        """The records of some images, as they lie on the disk."""
        digests = {one.digest for one in examples}
        return [
            shelf.read([key]).tobytes()
            for shelf in self.shelves()
            for key in shelf
            if key[:64] in digests
        ]

    def everything(self) -> bytes:
        """All bytes of cache and outbox."""
        folders = (self.config.cache.folder, self.config.state / "outbox")
        files = [file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()]
        return b"\0".join(file.read_bytes() for file in files)

    def call(self, *arguments: str, answer: str = "") -> Result:
        command = [*arguments, "--site", str(self.folder)]
        return CliRunner().invoke(main, command, input=answer)

    def forget(self, *arguments: str, answer: str = "") -> Result:
        return self.call("forget", *arguments, answer=answer)
