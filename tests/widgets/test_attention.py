"""When a panel goes on: as long as somebody may look, which a kernel that runs a cell cannot know."""

from __future__ import annotations

from mljupyter.widgets.panels.attention import Attention


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
