"""The command of the coordinator: leukofed-server."""
