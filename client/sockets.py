"""Where the worker's two sockets are, and how a carrier is told of its own places."""

from pathlib import Path

CARRIER = Path("/run/leukofed/worker.sock")
"""The carrier's."""
DESK = CARRIER.with_name("desk.sock")
"""The administrators'."""
LONGEST_PATH = 107
"""Bytes of a Unix socket's path, on Linux."""
SOCKET_VARIABLE = "LEUKOFED_SOCKET"
"""Names the worker's socket in the site's own environment, that of its SuperNode."""
PULSE_VARIABLE = "LEUKOFED_PULSE"
"""Names the file that is touched at every sign of life, for whoever watches over the SuperNode."""
