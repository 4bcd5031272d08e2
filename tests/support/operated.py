"""A federation of real processes with the coordinator's folder: what the commands work on."""

import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from common.proposal import proposal
from common.signing import read_key
from common.study.schema import load_study
from common.yaml_file import dump_yaml
from server.control import write_connection
from server.federation import Federation, Settings
from server.proposals import FILES
from server.sites import AdmittedSite
from tests.support.federation import Federation as Running
from tests.support.processes import ENVIRONMENT, ROOT

STUDY = "trial"


def coordinator_folder(
    path: Path, link_port: int, signing_key: Path, authority: Path, run: Path
) -> Federation:
    """Make a coordinator's folder, with a study proposed from what a run's folder begins with."""
    made = Federation(path)
    for folder in (path, made.sites, made.authority.parent, made.studies / STUDY):
        folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(name="demo", hosts=("localhost",), link_port=link_port)
    (path / "federation.yaml").write_text(dump_yaml(settings), encoding="utf-8")
    shutil.copyfile(authority, made.authority)
    shutil.copyfile(signing_key, made.signing_key)
    for name in FILES:
        shutil.copyfile(run / name, made.studies / STUDY / name)
    study = load_study(run / "study.yaml")
    text = proposal(study, read_key(made.signing_key))
    (made.studies / STUDY / "proposal.yaml").write_text(text, encoding="utf-8")
    write_connection(made)
    return made


def enter(federation: Federation, name: str, public_key: str, node: int | None) -> None:
    """Put a site into the register, as `leukofed-server admit` does."""
    federation.sites.mkdir(parents=True, exist_ok=True)
    site = AdmittedSite(
        name=name, public_key=public_key.strip(), node_id=node, admitted=datetime.now(UTC)
    )
    (federation.sites / f"{name}.yaml").write_text(dump_yaml(site), encoding="utf-8")


def operated(running: Running) -> Federation:
    """Make the coordinator's folder of a federation that runs."""
    link = running.superlink
    made = coordinator_folder(
        running.folder / "operated", link.port, running.home / "signing.pem", link.ca,
        running.run.path,
    )  # fmt: skip
    nodes = link.flwr("supernode", "list", "own")["nodes"]  # in the order of registration
    for site, node in zip(running.sites.values(), nodes, strict=True):
        enter(made, site.name, site.public_key, int(node["node-id"]))
    return made


def command(federation: Federation, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the coordinator's on its folder."""
    return subprocess.run(
        [sys.executable, "-c", "from server.cli.main import main; main()", *words,
         "--federation", str(federation.path)],
        env={**ENVIRONMENT, "HOME": str(federation.path), "COLUMNS": "120"}, cwd=ROOT,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
