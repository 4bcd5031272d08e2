"""The study file: what a federation agreed to do."""
