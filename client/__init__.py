"""A hospital: the only party that sees images."""
