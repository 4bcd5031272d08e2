"""Arithmetic of the federated histogram booster, in numpy only."""
