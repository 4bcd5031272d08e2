"""The researcher's bench: virtual sites on one machine."""
