"""Counts that add across sites, and the metrics derived from them."""
