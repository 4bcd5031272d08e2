"""Several datasets' manifests as one, so that each dataset can be a site."""

from collections.abc import Mapping
from pathlib import Path

from client.data.manifest import read_table
from common.digests import digest_bytes
from common.study.data import GROUP_ORDER
from common.whole_file import write_whole
from simulations.partition_file import Row, table_csv


def joined_manifest(manifests: Mapping[str, str], folder: Path, cache: Path) -> Path:
    """Write the rows of all manifests as one into the cache, and return the file.

    Paths start at the folder that all lie in. A column `dataset` names each row's; codes of
    patients, slides, stain clusters and fields get its name in front, so that none is in two.

    Args:
        manifests: by name of the dataset, its manifest below the folder.
        folder: that all datasets lie in.
        cache: folder for the file, which is named after what it holds.

    Raises:
        DataError: a manifest cannot be read.
    """
    rows: list[Row] = []
    for dataset, manifest in manifests.items():
        for _, row in read_table(folder / manifest, {}):
            codes: Row = {name: f"{dataset}/{row[name]}" for name in GROUP_ORDER if row.get(name)}
            path = (Path(manifest).parent / row["path"].replace("\\", "/")).as_posix()
            rows.append({**row, **codes, "path": path, "dataset": dataset})
    text = table_csv(list(dict.fromkeys(column for row in rows for column in row)), rows)
    joined = cache / f"datasets-{digest_bytes(text)[:16]}.csv"
    if not joined.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        write_whole(joined, text)
    return joined
