"""Work for a child process that never ends by itself."""

import time
from pathlib import Path

from common.children import Tell


def hang(tell: Tell, folder: Path) -> None:
    """Tell the folder, then sleep for ever."""
    tell(str(folder).encode())
    while True:
        time.sleep(1000)
