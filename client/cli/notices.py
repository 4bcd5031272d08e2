"""What every command that works on a site's folder tells first."""

from pathlib import Path


def notices(folder: Path) -> list[str]:
    """Return what the hospital must be told: certificates that end soon."""
    from client.joining import expiry_warnings
    from client.site_folder import SiteFolder

    return expiry_warnings(SiteFolder(folder))
