"""A guard put to the test: a new Python process with an app's code first on its path."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

_APP = {  # what an app might bring, by the module to import
    "client": ("client/__init__.py", "its own package `client`"),
    "leukofed_probe": ("leukofed_probe.py", "a module of another name"),
    "leukofed_probe_folder": ("leukofed_probe_folder/inner.py", "a folder without __init__.py"),
}
_IMPORTED = ("client.app", "client.egress.door", "numpy")  # what a site needs, at Flower's side
# and where images are: found, which is sooner done than importing it
_FOUND = ("torch", "torchvision", "timm", "opacus", "cv2", "PIL", "xgboost", "sklearn", "scipy")
_PROBE = """
import importlib.util, json, sys
folder, foreign, imported, found = json.loads(sys.argv[1])
def outcome(name, ask=importlib.import_module):
    try:
        ask(name)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
sys.path.insert(0, folder)  # as Flower does
brought = {name: outcome(name) for name in foreign}
sys.path = [place for place in sys.path if place not in ("", folder)]
for name in foreign:
    sys.modules.pop(name, None)
needed = {name: outcome(name) for name in imported}
needed |= {name: outcome(name, importlib.util.find_spec) for name in found}
print(json.dumps([brought, needed]))
"""


@dataclass(frozen=True)
class Proof:
    """What a new process of this environment did.

    Args:
        refused: what an app might bring, in words, and was refused.
        ran: what of it ran.
        failed: what a site needs and was refused or could not be imported, with the reason.
    """

    refused: tuple[str, ...]
    ran: tuple[str, ...]
    failed: tuple[str, ...]


def prove() -> Proof:
    """Start a Python of this environment that imports as Flower would, and see what loads."""
    with TemporaryDirectory(prefix="leukofed-") as folder:
        for file, _ in _APP.values():
            path = Path(folder, file)
            path.parent.mkdir(exist_ok=True)
            path.touch()
        asked = json.dumps([folder, list(_APP), _IMPORTED, _FOUND])
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, asked], cwd=folder, capture_output=True, text=True
        )
    if done.returncode != 0:
        return Proof((), (), failed=(f"Python: {done.stderr.strip()}",))
    foreign, needed = json.loads(done.stdout.splitlines()[-1])
    stopped = {name for name, outcome in foreign.items() if "site policy" in (outcome or "")}
    return Proof(
        refused=tuple(words for name, (_, words) in _APP.items() if name in stopped),
        ran=tuple(words for name, (_, words) in _APP.items() if name not in stopped),
        failed=tuple(f"{name}: {outcome}" for name, outcome in needed.items() if outcome),
    )
