"""XGBoost's own federated mode in child processes, with TLS on both sides; none is left behind."""

import os
import socket
import ssl
from pathlib import Path

import numpy as np
import pytest
import xgboost
from safetensors.numpy import load

from common.boosting.collective import KEY, OTHERS, OWN, meet, take_part
from common.boosting.rules import Rules
from common.boosting.trees import forest_from_arrays, margins
from common.boosting.xgb_train import binned_rows, xgb_parameters
from common.children import EXPIRED, Child
from common.self_signed import Identity, new_identity
from tests.support.hanging import hang

RULES = Rules(
    classes=3, features=6, levels=16, depth=2, parallel_trees=2, eta=0.5, l2=1.0,
    min_child_weight=1.0, columns=0.5, seed=2, columns_by="tree",
)  # fmt: skip
ROUNDS, SEED, LIMIT_S = 2, 9, 120.0
CHANCE = np.random.default_rng(3)
BINS = CHANCE.integers(0, RULES.levels, (240, RULES.features)).astype(np.uint8)
LABELS = np.argmax(BINS[:, :3] + CHANCE.normal(0, 4, (240, 3)), axis=1).astype(np.int64)
# The last member lacks class 0.
OWNER = np.where(LABELS == 0, np.arange(240) % 2, np.arange(240) % 3)


def nothing() -> None:
    """Wait without doing anything."""


def place(*trusted: Identity) -> tuple[Child, bytes]:
    own = new_identity("coordinator")
    others = b"".join(one.certificate for one in trusted)
    files = {OWN: own.certificate, KEY: own.key, OTHERS: others}
    return Child(meet, len(trusted), LIMIT_S, files=files, limit_s=LIMIT_S), own.certificate


def lets_in(port: int, identity: Identity, server: bytes, folder: Path) -> bool:
    """Say whether the place talks HTTP/2 with whoever comes by this certificate."""
    path = folder / "both.pem"
    path.write_bytes(identity.key + identity.certificate)
    context = ssl.create_default_context(cadata=server.decode())
    context.load_cert_chain(path)
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as line,
        ):
            line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
            return bool(line.recv(1))
    except (ssl.SSLError, ConnectionError):
        return False


def member(identity: Identity, server: bytes, port: int, rank: int, of: int) -> Child:
    rows = rank == OWNER
    return Child(
        take_part, port, rank, of, RULES, ROUNDS, SEED, BINS[rows], LABELS[rows],
        files={OWN: identity.certificate, KEY: identity.key, OTHERS: server}, limit_s=LIMIT_S,
    )  # fmt: skip


@pytest.mark.slow
def test_three_known_members_grow_the_forest_of_the_pooled_rows(tmp_path: Path) -> None:
    known = [new_identity(name) for name in ("north", "south", "west")]
    children: list[Child] = []
    meeting, server = place(*known)
    try:
        port = int(meeting.next(nothing) or b"0")
        assert lets_in(port, known[0], server, tmp_path)
        assert not lets_in(port, new_identity("north"), server, tmp_path)
        children = [member(one, server, port, i, 3) for i, one in enumerate(known)]
        told = [child.next(nothing) for child in children]
    finally:
        for child in (*children, meeting):
            child.end()
    assert told[0] is not None
    assert told == [told[0]] * 3
    forest = forest_from_arrays(load(told[0]), RULES, rounds=ROUNDS)
    rows = binned_rows(BINS, LABELS)
    pooled = xgboost.train(xgb_parameters(RULES, SEED), rows, ROUNDS)
    np.testing.assert_allclose(
        margins(forest, BINS, RULES), pooled.predict(rows, output_margin=True), atol=1e-5
    )


def test_a_child_that_hangs_is_ended_with_its_files() -> None:
    child = Child(hang, files={"own.key": b"secret"}, limit_s=LIMIT_S)
    try:
        folder = Path((child.next(nothing) or b"").decode())
        key = folder / "own.key"
        assert key.read_bytes() == b"secret"
        assert key.stat().st_mode & 0o077 == 0
        assert child.pid is not None
        os.kill(child.pid, 0)
    finally:
        child.end()
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_a_child_that_nobody_ends_ends_itself() -> None:
    child = Child(hang, files={}, limit_s=2.0)
    try:
        assert child.exit_code(within_s=LIMIT_S) == EXPIRED
        assert child.next(nothing) is None
    finally:
        child.end()
