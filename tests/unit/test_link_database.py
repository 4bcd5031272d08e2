"""The SuperLink's database, made by Flower itself and read by us."""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flwr.app import ConfigRecord
from flwr.proto.message_pb2 import ObjectTree
from flwr.server.superlink.linkstate.sql_linkstate import SqlLinkState
from flwr.supercore.object_store.sql_object_store import SqlObjectStore
from flwr.superlink.federation import NoOpFederationManager

from server.link_database import DatabaseError, RunsNow, compact, runs_now, size_bytes

NOW = datetime.now(UTC)
pytestmark = pytest.mark.filterwarnings("ignore:No path_separator:DeprecationWarning")  # Flower's


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqlLinkState]:
    """Flower's own state, open as the SuperLink has it."""
    place = str(tmp_path / "state of ours.db")
    store = SqlObjectStore(place)
    found = SqlLinkState(place, NoOpFederationManager(simulation=False), store)
    store.initialize()
    found.initialize()
    yield found
    for part in (store, found):
        assert part._engine is not None
        part._engine.dispose()


@pytest.fixture
def database(state: SqlLinkState, tmp_path: Path) -> Path:
    return tmp_path / "state of ours.db"


def put_run(database: Path, number: int, **times: datetime) -> None:
    columns = {"pending_at": NOW} | times
    with closing(sqlite3.connect(database)) as base, base:
        base.execute(
            f"INSERT INTO task (task_id, type, run_id, {', '.join(columns)}) "
            f"VALUES (?, 'flwr-serverapp', ?{', ?' * len(columns)})",
            [number, number, *(str(at) for at in columns.values())],
        )


def test_a_database_that_is_not_there_yet_holds_no_runs(tmp_path: Path) -> None:
    assert runs_now(tmp_path / "state.db") == RunsNow()
    assert size_bytes(tmp_path / "state.db") == 0


def test_runs_are_told_by_how_they_stand(database: Path) -> None:
    assert runs_now(database) == RunsNow()
    before, after = NOW - timedelta(minutes=2), NOW + timedelta(minutes=1)
    put_run(database, 1, pending_at=before, starting_at=before, finished_at=NOW)
    put_run(database, 2, pending_at=before, starting_at=before, active_until=before)  # it died
    assert runs_now(database, NOW) == RunsNow()
    put_run(database, 3, pending_at=before, starting_at=NOW, active_until=after)
    put_run(database, 4, pending_at=before)
    put_run(database, 5)
    assert runs_now(database, NOW) == RunsNow(active=1, pending=2, pending_s=120.0)


def test_another_schema_is_told(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "state.db")) as base:
        base.execute("CREATE TABLE run (x)")
    with pytest.raises(DatabaseError, match="no such table: task"):
        runs_now(tmp_path / "state.db")


def test_it_is_made_smaller_while_flower_has_it_open(state: SqlLinkState, database: Path) -> None:
    node = state.create_node("owner", "account", b"key", 60.0)
    piece = ConfigRecord({"piece": secrets.token_bytes(8_000_000)})
    state.object_store.preregister(7, ObjectTree(object_id=piece.object_id))
    state.object_store.put(piece.object_id, piece.deflate())
    put_run(database, 7, starting_at=NOW)
    before = size_bytes(database)
    assert before > 8_000_000
    assert compact(database) == (before, before)  # its run is active
    assert state.object_store.get(piece.object_id) is not None
    with closing(sqlite3.connect(database)) as base, base:
        base.execute("UPDATE task SET finished_at = ?", [str(NOW)])
    found = compact(database)
    assert found[0] > 8_000_000
    assert found[1] < 1_000_000
    assert state.get_node_id_by_public_key(b"key") == node
    state.object_store.preregister(8, ObjectTree(object_id=piece.object_id))
    state.object_store.put(piece.object_id, piece.deflate())
    assert state.object_store.get(piece.object_id) == piece.deflate()
