"""One program per claim of speed or size: `python -m benchmarks.NAME`, from the repository's root.

A package, since Opacus installs one of the same name, which would be found in its place.
"""
