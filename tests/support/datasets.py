"""Builders of datasets on disk."""

from pathlib import Path


def write_datasets(home: Path) -> dict[str, str]:
    """Two datasets whose patients have the same numbers, and whose columns differ."""
    for name, columns in (("first", "path,label,patient"), ("second", "path,label,patient,slide")):
        (home / name).mkdir()
        lines = [columns]
        for patient in range(12):
            image = f"{patient}.png"
            (home / name / image).write_bytes(f"{name} {patient}".encode())
            lines.append(f"{image},{'ab'[patient % 2]},{patient}" + ",s" * (name == "second"))
        (home / name / "manifest.csv").write_text("\n".join(lines) + "\n")
    return {"north": "first/manifest.csv", "south": "second/manifest.csv"}
