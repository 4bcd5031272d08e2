"""What every command that works on a federation's folder tells first."""

from pathlib import Path


def notices(folder: Path) -> list[str]:
    """Return what the coordinator must be told: certificates that end soon."""
    from server.certificates import expiry_warnings
    from server.federation import Federation

    return expiry_warnings(Federation(folder))
