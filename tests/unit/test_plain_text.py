"""What another party wrote, before a terminal or a log is given it."""

from common.plain_text import one_line, plain


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert plain("a\x1b[2Jb\rc\x07") == "a\\x1b[2Jb\\rc\\x07"
    assert plain("right \u202e left") == "right \\u202e left"


def test_what_people_write_stays() -> None:
    text = "Zentrum für Hämatologie,\nÉcole 医院, +49\u00a01"
    assert plain(text) == text


def test_a_line_cannot_be_made_two() -> None:
    assert one_line(" IT\n  Fingerprint  12345\u2028 \x1b ") == "IT Fingerprint 12345 \\x1b"


def test_twice_is_as_once() -> None:
    assert plain(plain("\x1b")) == plain("\x1b") == "\\x1b"
