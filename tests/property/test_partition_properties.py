from random import Random

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from client.data.splits import PARTS
from common.errors import DataError
from common.seeds import stream
from common.study.data import Split
from simulations.balance import Deal, balance
from simulations.division import (
    BalancedGroups,
    ByColumn,
    Dirichlet,
    Iid,
    Partition,
    Shards,
    SizeSkew,
)
from simulations.partition import assign
from simulations.partition_file import Row, partition_csv

SITES = ("north", "south", "west")
SHARES = Split(validation=0.2, test=0.25)
WAYS: tuple[Partition, ...] = (
    BalancedGroups(by="balanced-groups", parts=SHARES),
    Iid(by="iid", parts=SHARES),
    ByColumn(by="column", column="ward", parts=SHARES),
    Dirichlet(by="dirichlet", alpha=1.0, parts=SHARES),
    Shards(by="shards", each=2, parts=SHARES),
    SizeSkew(by="size-skew", sigma=0.7, parts=SHARES),
)
laws = settings(deadline=None, derandomize=True, max_examples=60)


@st.composite
def datasets(draw: st.DrawFn) -> list[Row]:
    """Stain clusters of up to five images; some images share a field with those of another."""
    clusters = draw(
        st.lists(st.tuples(st.integers(0, 1), st.integers(1, 5)), min_size=9, max_size=30)
    )
    rows = [
        {"path": f"{c}-{i}.png", "label": "ab"[label], "stain_cluster": f"c{c}", "field": ""}
        for c, (label, size) in enumerate(clusters)
        for i in range(size)
    ]
    fields = st.lists(st.tuples(st.integers(0, len(rows) - 1), st.integers(0, 5)), max_size=8)
    for number, field in draw(fields):
        rows[number]["field"] = f"f{field}"
    for row in rows:  # one ward for all that fields join; the others anywhere
        joined = any(r["field"] for r in rows if r["stain_cluster"] == row["stain_cluster"])
        row["ward"] = SITES[0 if joined else int(row["stain_cluster"][1:]) % 3]
    return rows


def divided(rows: list[Row], way: Partition, seed: int = 1) -> list[Row]:
    try:
        return assign(rows, way, seed, SITES, [None] * len(rows))
    except DataError:
        assume(False)
        raise


@laws
@given(datasets(), st.sampled_from(WAYS), st.integers(0, 99))
def test_every_row_gets_one_cell_and_no_group_two(
    rows: list[Row], way: Partition, seed: int
) -> None:
    placed = divided(rows, way, seed)
    assert [{k: row[k] for k in rows[0]} for row in placed] == rows
    assert {row["site"] for row in placed} <= set(SITES)
    assert {row["split"] for row in placed} <= set(PARTS)
    for column in ("stain_cluster", "field"):
        cells: dict[str, tuple[str, str]] = {}
        for row in placed:
            if row[column]:
                cell = (row["site"], row["split"])
                assert cells.setdefault(row[column], cell) == cell


@laws
@given(datasets(), st.sampled_from(WAYS), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(
    rows: list[Row], way: Partition, random: Random
) -> None:
    placed = divided(rows, way)
    shuffled = list(rows)
    random.shuffle(shuffled)
    again = divided(shuffled, way)
    assert partition_csv(again) == partition_csv(placed)
    assert sorted(again, key=lambda row: row["path"]) == sorted(placed, key=lambda r: r["path"])


@laws
@given(datasets(), st.integers(0, 99))
def test_every_site_trains_every_class(rows: list[Row], seed: int) -> None:
    placed = divided(rows, WAYS[0], seed)
    trained = {(row["site"], row["label"]) for row in placed if row["split"] == "train"}
    assert trained == {(site, row["label"]) for site in SITES for row in rows}


@st.composite
def tables(draw: st.DrawFn) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Images of each class in each group; no group and no class is empty."""
    classes = draw(st.integers(1, 3))
    counts = np.array(
        draw(
            st.lists(
                st.lists(st.integers(0, 20), min_size=classes, max_size=classes),
                min_size=1, max_size=25,
            )
        ),
        dtype=np.int64,
    )  # fmt: skip
    assume((counts.sum(axis=0) > 0).all())
    return counts


@laws
@given(tables(), st.integers(1, 4), st.booleans(), st.integers(0, 99))
def test_no_move_of_one_group_would_fit_better(
    counts: np.ndarray[tuple[int, int], np.dtype[np.int64]],
    sites: int,
    validates: bool,
    seed: int,
) -> None:
    shares = np.array([0.6, 0.15, 0.25] if validates else [0.7, 0.0, 0.3])
    places, fitness = balance(counts, sites, shares, stream(seed, "law"))
    deal = Deal(counts, sites, shares)
    chosen = (places @ [3, 1]).tolist()
    for group, cell in enumerate(chosen):
        deal.put(group, cell)
    assert deal.unfitness() == fitness
    assert ((places >= 0) & (places < [sites, 3])).all()
    assert validates or not (places[:, 1] == 1).any()
    for group, cell in enumerate(chosen):
        for other in range(sites * 3):
            if shares[other % 3]:
                deal.put(group, other)
                assert deal.unfitness() >= fitness
        deal.put(group, cell)
