"""Arithmetic on named arrays: digests of change, exact sums."""
