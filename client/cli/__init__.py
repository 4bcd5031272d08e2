"""The command of hospital IT: leukofed-site."""
