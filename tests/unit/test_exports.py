import csv
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from common.metrics import RunMetrics
from common.record import Record
from simulations.cli.main import main as sim_command
from simulations.exports.export import export_run
from simulations.exports.tables import settings, tables
from tests.support.metrics_builder import CLASSES, SITES, build_metrics

METRICS: RunMetrics = build_metrics()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Write the folder of a run: metrics, and a record of one phase."""
    folder = tmp_path / "runs" / "trial-1"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(METRICS.model_dump_json(), encoding="utf-8")
    for arm in ("federated", "pooled"):
        record = Record(folder / "record.jsonl", study="0" * 64, run=f"trial-1.{arm}")
        for number in (1, 2):
            for exchange in (0, 1):
                record.write(
                    "exchange", phase="fusion", round=number, exchange=exchange, ask="training",
                    invited=["north", "south"], accepted=["north"],
                    bytes_down={"north": 100, "south": 90}, bytes_up={"north": 10 * number},
                    work_s={"north": 1.5}, waited_s={"north": 2.0, "south": 9.0},
                    examples={"north": 40},
                )  # fmt: skip
            record.write("round", phase="fusion", round=number)
    return folder


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_csv_holds_every_table_and_says_what_its_columns_mean(run: Path, tmp_path: Path) -> None:
    (folder,) = export_run(run, ["csv"], tmp_path / "out")
    assert folder == tmp_path / "out" / "csv" / "trial-1"
    exchanges = read(folder / "exchanges.csv")
    assert len(exchanges) == 2 * 2 * 2 * 2
    assert exchanges[0]["arm"] == "federated"
    assert [row["accepted"] for row in exchanges[:2]] == ["True", "False"]
    assert [row["bytes_up"] for row in exchanges[:2]] == ["10", ""]
    scores = {
        (row["arm"], row["classifier"], row["site"], row["part"], row["measure"]): row
        for row in read(folder / "scores.csv")
    }
    ours = METRICS.arms.federated
    headline = scores["federated", "booster", "all", "test", "macro_f1"]
    assert float(headline["value"]) == ours.macro_f1
    assert (float(headline["low"]), float(headline["high"])) == ours.interval.macro_f1
    assert float(scores["federated", "softmax", "all", "test", "log_loss"]["value"]) == (
        ours.softmax.log_loss
    )
    assert ("linear_probe", "probe", "all", "test", "accuracy") in scores
    assert ("local_only.north", "booster", "north", "test", "accuracy") in scores
    assert ("pooled", "booster", "all", "validation", "macro_f1") in scores
    cells = [row for row in read(folder / "confusion.csv") if row["arm"] == "federated"]
    assert sum(int(row["images"]) for row in cells if row["classifier"] == "booster") == (
        ours.examples
    )
    sums = [int(row["bytes_up"]) for row in read(folder / "phases.csv")]
    assert sum(sums) == sum(sum(sites.values()) for sites in METRICS.bytes_up.values())
    assert len(read(folder / "losses.csv")) == 13
    documented = {(row["table"], row["column"]) for row in read(folder / "columns.csv")}
    for path in folder.glob("*.csv"):
        if path.stem != "columns":
            with path.open(encoding="utf-8") as file:
                columns = file.readline().strip().split(",")
            assert {(path.stem, column) for column in columns} <= documented
    assert all(row["meaning"] for row in read(folder / "columns.csv"))


def test_parquet_holds_what_csv_holds_with_types(run: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    plain, typed = export_run(run, ["csv", "parquet"], tmp_path)
    for table in tables("trial-1", METRICS, []):
        rows = parquet.read_table(typed / f"{table.name}.parquet").to_pylist()
        written = [
            {name: "" if value is None else str(value) for name, value in row.items()}
            for row in rows
        ]
        assert written == read(plain / f"{table.name}.csv")
    kinds = parquet.read_schema(typed / "exchanges.parquet")
    found = [str(kinds.field(name).type) for name in ("site", "round", "accepted", "work_seconds")]
    assert found == ["string", "int64", "bool", "double"]


def test_tensorboard_reads_the_losses_by_round(run: Path, tmp_path: Path) -> None:
    reading = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="no tensorboard"
    )
    for _ in range(2):  # the second replaces the first
        (folder,) = export_run(run, ["tensorboard"], tmp_path)
    found = reading.EventAccumulator(str(folder / "trial-1"))
    found.Reload()
    losses = found.Scalars("loss/fusion")
    points = METRICS.curves["fusion"]
    assert [event.step for event in losses] == [point.round for point in points]
    assert [event.value for event in losses] == pytest.approx([point.loss for point in points])
    assert 0 < losses[0].wall_time <= losses[1].wall_time
    sent = found.Scalars("bytes_up/fusion/north")
    assert [event.value for event in sent] == [20.0, 40.0]  # both exchanges of each round
    (reached,) = found.Scalars("test_macro_f1/federated/booster/all")
    assert reached.value == pytest.approx(METRICS.arms.federated.macro_f1)


def test_mlflow_reads_parameters_and_metrics(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking = pytest.importorskip("mlflow.tracking", reason="mlflow is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for _ in range(2):  # the second replaces the first
        (folder,) = export_run(run, ["mlflow"], tmp_path)
    client = tracking.MlflowClient(tracking_uri=folder.as_uri())
    experiment = client.get_experiment_by_name("trial")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.run_name == "trial-1"
    assert found.info.status == "FINISHED"
    assert found.data.params["network.h2"] == "128"
    assert found.data.params["phases.1.learning_rate"] == "0.0001"
    assert found.data.tags["study"] == METRICS.study_digest
    history = client.get_metric_history(found.info.run_id, "loss/fusion")
    points = METRICS.curves["fusion"]
    assert {one.step: one.value for one in history} == {p.round: p.loss for p in points}
    name = "test_macro_f1/federated/booster/all"
    assert found.data.metrics[name] == METRICS.arms.federated.macro_f1


def test_settings_are_the_leaves_of_the_study() -> None:
    study: Any = {"a": {"b": 1, "c": []}, "d": [{"e": None}, {"e": "x"}], "f": ["p", "q"], "g": {}}
    assert {row.field: json.loads(row.value) for row in settings(study)} == {
        "a.b": 1, "a.c": [], "d.0.e": None, "d.1.e": "x", "f": ["p", "q"], "g": {}
    }  # fmt: skip


def test_the_command_tells_where_it_wrote_and_what_is_wrong(run: Path, tmp_path: Path) -> None:
    def call(*words: object) -> Any:
        return CliRunner().invoke(sim_command, ["export", *map(str, words)])

    done = call(run, run, "--to", "csv", "--out", tmp_path / "out")
    assert done.exit_code == 0
    assert done.output == f"trial-1: {tmp_path / 'out' / 'csv' / 'trial-1'}\n"
    (run / "metrics.json").unlink()
    done = call(run, "--to", "csv", "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "the metrics cannot be read" in done.output


def test_the_images_are_those_of_the_census() -> None:
    found = {table.name: table.rows for table in tables("x", METRICS, [])}
    rows: list[Any] = list(found["images"])
    assert {row.site for row in rows} == set(SITES)
    north = {row.label: row.images for row in rows if (row.site, row.part) == ("north", "test")}
    assert north == METRICS.data["north"].examples["test"]
    assert set(north) == set(CLASSES)
