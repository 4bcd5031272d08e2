"""Studies, site files and scenarios, shipped with the package."""
