"""How a carrier is told of its own places, and how long a socket's path may be."""

LONGEST_PATH = 107
"""Bytes of a Unix socket's path, on Linux."""
SOCKET_VARIABLE = "LEUKOFED_SOCKET"
"""Names the worker's socket in the site's own environment, that of its SuperNode."""
PULSE_VARIABLE = "LEUKOFED_PULSE"
"""Names the file that is touched at every sign of life, for whoever watches over the SuperNode."""
