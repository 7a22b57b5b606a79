"""What becomes of control characters: on a terminal, in JSON, in HTML."""

from __future__ import annotations

import io
import json

import pytest

from mljupyter.visible import (
    can_write,
    for_stream,
    lines_of,
    markup,
    one_line,
    printable,
    show_anything,
    visible,
    visible_json,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31m\x7f\x00", r"\x9b31m\x7f\x00"),
        ("\u202egnp.exe\u2069\u200f", r"\u202egnp.exe\u2069\u200f"),
        ("a\rb", r"a\x0db"),
        ("a\r\nb\tc\n", "a\r\nb\tc\n"),
        ("\ud800", r"\ud800"),
        ("é 中 🙂 العربية", "é 中 🙂 العربية"),
    ],
)
def test_control_characters_become_escapes_and_all_else_stays(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert for_stream(text, io.StringIO()) == text, "no terminal"
    assert json.loads(visible_json(json.dumps(text, ensure_ascii=False))) == text


def test_text_on_one_line_has_no_line_end() -> None:
    assert one_line("a\r\nb\nc\u2028d") == r"a\r\nb\nc\u2028d"


def test_lines_end_at_line_feeds_alone() -> None:
    assert lines_of("a\rb\x85c\n\nd") == ["a\rb\x85c", "", "d"]
    assert lines_of("") == []


def test_markup_is_quoted() -> None:
    assert markup('<b a="\'">\x1b') == "&lt;b a=&quot;&#x27;&quot;&gt;\\x1b"


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", "gr\\xf6\\u2603"), ("latin-1", "grö\\u2603"), ("utf-8", "grö☃")]
)
def test_a_stream_gets_escapes_for_what_its_encoding_does_not_have(encoding: str, shown: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    assert printable("grö☃", stream) == shown
    assert can_write("grö☃", stream) == (shown == "grö☃")
    show_anything(stream)
    stream.write("grö☃")
    stream.flush()
    assert stream.buffer.getvalue().decode(encoding) == shown  # type: ignore[attr-defined]
