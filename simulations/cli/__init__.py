"""The command of the researcher: leukofed-sim."""
