"""A log that was tampered with, by someone who can write more and more of the state folder."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from client.cli.main import main
from client.egress.audit import verify
from client.egress.door import Door
from client.egress.log import EgressLog
from client.egress.outbox import Outbox
from client.site_config import Limits
from common.errors import CorruptFile
from common.log_head import LogHead, split_head
from common.record import Record
from tests.support.exchanges import STUDY, refusal, reply, request

LINES = 7
REFUSALS = (3, 7)
Lines = list[bytes]


class Hospital:
    """A site that has answered five times and declined twice."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.log, self.head = self.state / "egress.jsonl", self.state / "egress.head"
        self.site_file, self.record = folder / "site.yaml", folder / "record.jsonl"
        self.site_file.write_text(
            "name: north\nimages: {manifest: m.csv}\nstate: state\ncache: {folder: cache}\n"
        )
        door = Door(self.state, "north", Limits())
        self.told: list[LogHead] = []
        record = Record(self.record, study=STUDY.digest, run="run-1")
        for number in range(1, LINES + 1):
            asked = request(exchange=number)
            if number in REFUSALS:
                left = door.turn_away(asked, refusal(asked), "Station Süd")
            else:
                left = door.release(asked, reply(asked))
            self.told.append(split_head(left)[0])
            heads = {"north": self.told[-1].model_dump(), "south": {"lines": 1, "digest": "a" * 64}}
            record.write("exchange", log_heads=heads if number != 2 else {})

    def lines(self) -> Lines:
        return self.log.read_bytes().splitlines(keepends=True)

    def damage(self, change: Callable[[Lines], Lines]) -> None:
        self.log.write_bytes(b"".join(change(self.lines())))

    def rewrite(self, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        """Change the log, then make chain and head fit again."""
        digest, text = "0" * 64, b""
        changed = change([json.loads(raw) for raw in self.lines()])
        for number, fields in enumerate(changed, start=1):
            fields |= {"number": number, "previous": digest}
            raw = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            digest = hashlib.sha256(raw.encode()).hexdigest()
            text += raw.encode() + b"\n"
        self.log.write_bytes(text)
        self.head.write_text(json.dumps({"lines": len(changed), "digest": digest}))

    def verify(self, *options: object) -> Result:
        arguments = ["log", "--site-file", self.site_file, "--verify", *options]
        return CliRunner().invoke(main, [str(one) for one in arguments])

    def finds(self, words: str, *options: object) -> bool:
        found = self.verify(*options)
        assert found.exit_code == 1, found.output
        assert "To fix: " in found.output
        assert " as evidence" in found.output
        assert words in " ".join(found.output.split()), found.output
        return True


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    return Hospital(tmp_path)


def changed_at(number: int, **fields: Any) -> Callable[[list[dict[str, Any]]], Any]:
    return lambda lines: [
        line | fields if at == number else line for at, line in enumerate(lines, start=1)
    ]


def test_a_whole_log_is_found_whole(hospital: Hospital) -> None:
    digest = hashlib.sha256(hospital.lines()[-1].rstrip(b"\n")).hexdigest()
    found = hospital.verify()
    assert (found.exit_code, found.output) == (0, f"7 lines, chain intact, head {digest}\n")
    with_record = hospital.verify("--record", hospital.record)
    assert with_record.output == (
        found.output + "The log holds all 6 heads that the record tells of.\n"
    )


def test_the_heads_that_left_are_those_of_the_log(hospital: Hospital) -> None:
    assert [(head.lines, head.digest) for head in hospital.told] == [
        (number, hashlib.sha256(raw.rstrip(b"\n")).hexdigest())
        for number, raw in enumerate(hospital.lines(), start=1)
    ]


def test_a_log_without_lines_is_whole(tmp_path: Path) -> None:
    head = verify(EgressLog(tmp_path / "egress.jsonl"), Outbox(tmp_path / "outbox"))
    assert (head.lines, head.digest) == (0, "0" * 64)


@pytest.mark.parametrize("number", range(1, LINES + 1))
def test_a_changed_line_is_named(hospital: Hospital, number: int) -> None:
    def change(lines: Lines) -> Lines:
        lines[number - 1] = lines[number - 1].replace(b'"north"', b'"south"')
        return lines

    hospital.damage(change)
    assert hospital.finds(f"line {number} of the egress log")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[:3] + lines[4:], "where line 4 of the egress log should stand"),
        (lambda lines: lines[1:], "where line 1 of the egress log should stand"),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], "where line 3 of"),
        (lambda lines: lines[:5] + lines[4:], "where line 6 of"),
        (lambda lines: [*lines, lines[-1]], "where line 8 of"),
        (lambda lines: [*lines[:4], b"\n", *lines[4:]], "line 5 of the egress log is not one"),
        (lambda lines: [*lines[:4], b"[]\n", *lines[4:]], "line 5 of the egress log is not one"),
        (lambda lines: [lines[0][:-1], *lines[1:]], "line 1 of the egress log is not one"),
    ],
    ids=["removed", "first", "swapped", "twice", "last-twice", "empty", "foreign", "joined"],
)
def test_lines_removed_moved_or_added_are_named(
    hospital: Hospital, change: Callable[[Lines], Lines], words: str
) -> None:
    hospital.damage(change)
    assert hospital.finds(words)


@pytest.mark.parametrize("left", range(LINES))
def test_an_end_cut_off_shows_in_the_head_beside_the_log(hospital: Hospital, left: int) -> None:
    hospital.damage(lambda lines: lines[:left])
    words = f"the egress log ends after line {left}, and egress.head tells of line 7"
    assert hospital.finds(words)


def test_an_absent_log_shows_in_the_head_beside_it(hospital: Hospital) -> None:
    hospital.log.unlink()
    assert hospital.finds("the egress log ends after line 0")


def test_a_removed_head_is_missed(hospital: Hospital) -> None:
    hospital.damage(lambda lines: lines[:5])
    hospital.head.unlink()
    assert hospital.finds("egress.head, is missing")


def test_a_changed_head_is_named(hospital: Hospital) -> None:
    hospital.head.write_text(json.dumps({"lines": 7, "digest": "a" * 64}))
    assert hospital.finds("line 7 of the egress log is not the one that egress.head tells of")
    hospital.head.write_text('{"lines": -1}')
    found = hospital.verify()
    assert (found.exit_code, "egress.head" in found.output) == (1, True)


@pytest.mark.parametrize(("left", "lacking"), [(5, 1), (4, 2), (3, 3), (0, 5)])
def test_an_end_cut_off_with_its_head_shows_in_the_outbox(
    hospital: Hospital, left: int, lacking: int
) -> None:
    hospital.rewrite(lambda lines: lines[:left])
    assert hospital.finds(f"lacks {lacking} of the 5 replies that the outbox released")


def test_a_release_that_was_made_to_look_smaller_shows_in_the_outbox(hospital: Hospital) -> None:
    hospital.rewrite(changed_at(2, elements=0, arrays=0))
    assert hospital.finds("lacks 1 of the 5 replies")


def test_a_log_cut_off_and_written_on_shows_too(hospital: Hospital) -> None:
    hospital.damage(lambda lines: lines[:5])
    door = Door(hospital.state, "north", Limits())
    for number in (1, 2, 3):
        asked = request(run="run-2", exchange=number)
        door.release(asked, reply(asked))
    assert hospital.finds("line 7 of the egress log is not the one that egress.head tells of")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (changed_at(3, local_detail=""), "line 3 of the egress log is not the one"),
        (lambda lines: lines[:2] + lines[3:], "line 3 of the egress log is not the one"),
        (lambda lines: lines[:6], "the egress log ends after line 6, and the record of the"),
        (lambda lines: [*lines, lines[2]], ""),
    ],
    ids=["changed", "removed", "cut", "added"],
)
def test_a_log_written_anew_as_a_whole_shows_in_the_record_alone(
    hospital: Hospital, change: Callable[[Any], Any], words: str
) -> None:
    """What happened after the last reply of a run is in no record of it."""
    hospital.rewrite(change)
    assert "chain intact" in hospital.verify().output
    if words:
        assert hospital.finds(words, "--record", hospital.record)
    else:
        assert hospital.verify("--record", hospital.record).exit_code == 0


def test_with_the_whole_state_folder_written_anew_the_record_still_tells(
    hospital: Hospital, tmp_path: Path
) -> None:
    hospital.rewrite(changed_at(2, elements=0))
    (stored,) = hospital.state.glob("outbox/*/*/booster-1-2.json")
    stored.write_text(json.dumps(json.loads(stored.read_text()) | {"elements": 0}))
    assert "chain intact" in hospital.verify().output
    # Line 2 was told of in no exchange of the record, but every later head stands for it too.
    assert hospital.finds("line 3 of the egress log is not", "--record", hospital.record)


@pytest.mark.parametrize("tail", [b"{", b'{"time":"2026', b"\xff\xfe"])
def test_a_line_cut_off_by_a_crash_is_no_fault(hospital: Hospital, tail: bytes) -> None:
    with hospital.log.open("ab") as file:
        file.write(tail)
    assert "7 lines, chain intact" in hospital.verify("--record", hospital.record).output


def test_a_crash_between_a_line_and_its_head_is_no_fault(hospital: Hospital) -> None:
    before = hospital.told[5]
    hospital.head.write_text(before.model_dump_json())
    assert "7 lines, chain intact" in hospital.verify().output


def test_a_crash_before_the_first_head_is_no_fault(tmp_path: Path) -> None:
    door = Door(tmp_path, "north", Limits())
    asked = request()
    door.release(asked, reply(asked))
    (tmp_path / "egress.head").unlink()
    assert verify(door.log, door.outbox) == door.log.head


def test_a_record_of_another_site_proves_nothing(hospital: Hospital, tmp_path: Path) -> None:
    Record(tmp_path / "other.jsonl", study="s", run="r").write(
        "exchange", log_heads={"south": {"lines": 1, "digest": "a" * 64}}
    )
    found = hospital.verify("--record", tmp_path / "other.jsonl")
    assert found.exit_code == 1
    assert "the record holds no head of this site's log" in found.output
    assert hospital.verify("--record", tmp_path / "absent.jsonl").exit_code == 1


@pytest.mark.parametrize("heads", ["north", {"north": {"lines": 1}}, {"north": 7}])
def test_a_record_that_holds_something_else_is_an_error(
    hospital: Hospital, tmp_path: Path, heads: object
) -> None:
    Record(tmp_path / "odd.jsonl", study="s", run="r").write("exchange", log_heads=heads)
    found = hospital.verify("--record", tmp_path / "odd.jsonl")
    assert found.exit_code == 1
    assert "holds no usable head" in found.output


@pytest.mark.parametrize("options", [("--verify", "--json"), ("--verify", "--study", "a")])
def test_a_part_of_the_log_cannot_be_verified(hospital: Hospital, options: tuple[str, ...]) -> None:
    command = ["log", "--site-file", str(hospital.site_file)]
    assert CliRunner().invoke(main, [*command, *options]).exit_code == 2
    assert CliRunner().invoke(main, [*command, "--record", "r.jsonl"]).exit_code == 2


def test_problems_hold_no_paths(hospital: Hospital) -> None:
    hospital.damage(lambda lines: lines[:2])
    with pytest.raises(CorruptFile) as found:
        verify(EgressLog(hospital.log), Outbox(hospital.state / "outbox"))
    assert str(hospital.state) not in found.value.problem + found.value.fix


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    return Hospital(tmp_path_factory.mktemp("untouched"))


@settings(deadline=None, derandomize=True, max_examples=400)
@given(data=st.data())
def test_any_byte_changed_removed_or_added_is_noticed(
    untouched: Hospital, data: st.DataObject
) -> None:
    whole = untouched.log.read_bytes()
    log = EgressLog(untouched.state / "changed.jsonl")
    (untouched.state / "changed.head").write_bytes(untouched.head.read_bytes())
    ends = [at for at, byte in enumerate(whole) if byte == ord("\n")]
    at = data.draw(st.one_of(st.integers(0, len(whole) - 1), st.sampled_from(ends)))
    byte = data.draw(st.one_of(st.integers(0, 255), st.just(ord("\n"))))
    after = whole[at + data.draw(st.integers(0, 1)) :]
    with_byte = data.draw(st.booleans())
    changed = whole[:at] + (bytes([byte]) if with_byte else b"") + after
    log.path.write_bytes(changed)
    outbox = Outbox(untouched.state / "outbox")
    if changed == whole:
        verify(log, outbox, untouched.told)
    else:
        with pytest.raises(CorruptFile):
            verify(log, outbox)
