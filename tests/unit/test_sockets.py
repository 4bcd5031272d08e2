"""Which socket, and which state folder, a worker may take for its own."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.state_lock import alone
from client.worker import _free
from common.errors import ConfigError


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="lkf-"))  # a socket's path is short
    yield made
    shutil.rmtree(made)


def bound(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    return made


def test_a_socket_that_was_left_behind_is_removed_and_so_is_the_own_one(folder: Path) -> None:
    path = folder / "worker.sock"
    bound(path).close()
    assert path.is_socket()
    with _free(path):
        assert not path.exists()
        bound(path).close()
    assert not path.exists()


def test_the_own_socket_is_removed_whatever_happens(folder: Path) -> None:
    path = folder / "worker.sock"

    def serve() -> None:
        with _free(path):
            bound(path).close()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        serve()
    assert not path.exists()


def test_the_socket_of_a_live_process_is_left_alone(folder: Path) -> None:
    path = folder / "worker.sock"
    with bound(path) as living:
        living.listen()
        with pytest.raises(ConfigError, match="another process listens"), _free(path):
            pytest.fail("it was taken for free")
        assert path.is_socket()


def test_a_live_socket_of_another_kind_is_left_alone(folder: Path) -> None:
    path = folder / "log.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as living:
        living.bind(str(path))
        with pytest.raises(ConfigError, match="cannot be used"), _free(path):
            pytest.fail("it was taken for free")
        assert path.is_socket()


@pytest.mark.parametrize("is_folder", [True, False])
def test_something_else_in_its_place_is_not_removed(folder: Path, is_folder: bool) -> None:
    path = folder / "worker.sock"
    if is_folder:
        path.mkdir()
    else:
        path.write_text("a letter")
    with pytest.raises(ConfigError, match="lies something else"), _free(path):
        pytest.fail("it was taken for free")
    assert path.exists()


def test_a_path_is_as_long_as_a_sockets_may_be(folder: Path) -> None:
    longest = folder / ("s" * (107 - len(str(folder)) - 1))
    with _free(longest):
        bound(longest).close()
    too_long = longest.with_name(longest.name + "s")
    with pytest.raises(ConfigError, match="may be 107 bytes long"), _free(too_long):
        pytest.fail("it was taken for short enough")
    wide = longest.with_name("é" + longest.name[1:])
    assert len(str(wide)) == 107
    with pytest.raises(ConfigError, match="may be 107 bytes long"), _free(wide):
        pytest.fail("its bytes were not counted")


def test_the_folder_of_a_socket_has_to_be_there(folder: Path) -> None:
    with (
        pytest.raises(ConfigError, match="folder of the socket does not exist"),
        _free(folder / "absent" / "worker.sock"),
    ):
        pytest.fail("it was taken for there")


def test_a_state_folder_serves_one_worker_at_a_time(tmp_path: Path) -> None:
    state = tmp_path / "var" / "state"
    with alone(state):
        with (
            pytest.raises(ConfigError, match="another worker uses this site's state") as raised,
            alone(state),
        ):
            pytest.fail("two share it")
        assert raised.value.local_detail == str(state)
        with alone(tmp_path / "other"):
            pass
    with alone(state):
        pass
