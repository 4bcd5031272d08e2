"""The code of the worker's protocol is what its .proto file says."""

from pathlib import Path

import pytest
from grpc_tools import protoc

FOLDER = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["worker_pb2.py", "worker_pb2.pyi"])
def test_the_code_is_what_the_proto_file_says(name: str, tmp_path: Path) -> None:
    arguments = [f"-I{FOLDER}", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    assert protoc.main(["protoc", *arguments, "common/worker.proto"]) == 0
    written = (FOLDER / "common" / name).read_text(encoding="utf-8")
    assert written == (tmp_path / "common" / name).read_text(encoding="utf-8"), "run `make proto`"
