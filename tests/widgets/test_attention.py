"""When a panel goes on: as long as somebody may look, which a kernel that runs a cell cannot know."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

from mljupyter.widgets.panels.attention import Attention
from mljupyter.widgets.panels.log_panel import LogPanel
from tests.waiting import wait_until


def test_a_panel_rests_when_a_kernel_that_reads_has_heard_no_view_for_a_while() -> None:
    attention = Attention(rests_after=12)
    assert not attention.lasts(100, is_busy=False), "nobody has looked yet"
    attention.word(100)
    assert attention.lasts(112, is_busy=False)
    assert not attention.lasts(112.1, is_busy=False)
    attention.word(200)
    assert attention.lasts(201, is_busy=False)


def test_a_panel_goes_on_during_a_cell_however_long_and_rests_a_while_after_it() -> None:
    attention = Attention(rests_after=12)
    attention.word(100)
    assert all(attention.lasts(now, is_busy=True) for now in range(101, 1000))
    assert attention.lasts(1010, is_busy=False)
    assert not attention.lasts(1020, is_busy=False)


def test_silence_during_a_cell_counts_where_messages_are_read_beside_cells() -> None:
    attention = Attention(rests_after=12)
    attention.word(100, beside_cells=True)
    assert attention.lasts(112, is_busy=True)
    assert not attention.lasts(113, is_busy=True)


class Source:
    """A log whose lines the test gives."""

    name, again = "log", "%logs log -f"

    def __init__(self) -> None:
        self.given: queue.SimpleQueue[str] = queue.SimpleQueue()

    def view(self) -> dict[str, Any]:
        return {"title": "log", "status": "", "stages": [], "cancel": ""}

    def lines(self) -> Iterator[str]:
        while (line := self.given.get()) != "":
            yield line

    def cancel(self) -> None:
        """Do nothing."""


class Recorded(LogPanel):
    """A log panel whose messages are kept."""

    def __init__(self, source: Source) -> None:
        self.sent: list[tuple[bool, list[str]]] = []
        super().__init__(source)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.sent.append((content["whole"], content["lines"]))


def test_a_log_is_sent_whole_until_the_first_message_of_a_view_is_read() -> None:
    source = Source()
    panel = Recorded(source)
    for line in ("one", "two"):
        source.given.put(line)
        wait_until(lambda line=line: panel.sent and panel.sent[-1][1][-1] == line, "the line")
    assert panel.sent == [(True, ["one"]), (True, ["one", "two"])], "a view may be there that nobody has heard"
    panel._received(None, {"kind": "hello"}, None)
    source.given.put("three")
    wait_until(lambda: panel.sent[-1][1] == ["three"], "the line alone")
    assert panel.sent[-2:] == [(True, ["one", "two"]), (False, ["three"])]
    source.given.put("")
    panel.close()


def test_a_panel_rests_at_once_when_its_last_view_says_that_it_is_gone() -> None:
    attention = Attention(12)
    attention.word(100)
    assert attention.lasts(101, is_busy=False)
    attention.end()
    assert not attention.lasts(101, is_busy=False)
