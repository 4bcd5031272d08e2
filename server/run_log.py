"""What a run's process says: a file in the run's folder, and its own output, which Flower keeps."""

import io
import sys
from contextlib import suppress
from pathlib import Path


class RunLog(io.TextIOBase):
    """Writes to both; a disk that refuses the file costs the operator's view, and not the run.

    Args:
        path: the file; what it holds is kept.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        # Without a buffer, or what did not fit on the disk would be tried again at the end.
        self._file = path.open("ab", buffering=0)

    def write(self, text: str) -> int:
        """Write to both."""
        sys.stdout.write(text)
        with suppress(OSError):
            self._file.write(text.encode())
        return len(text)

    def flush(self) -> None:
        """Flush this process's own output; the file needs none."""
        sys.stdout.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
