"""Where the worker's two sockets are, unless a hospital says otherwise."""

from pathlib import Path

CARRIER = Path("/run/leukofed/worker.sock")
"""The carrier's."""
DESK = CARRIER.with_name("desk.sock")
"""The administrators'."""
LONGEST_PATH = 107
"""Bytes of a Unix socket's path, on Linux."""
