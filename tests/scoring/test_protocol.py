"""Frames survive any way of being cut into pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mljupyter.scoring.protocol import PREFIX, Frame, FrameDecoder

frames = st.lists(
    st.builds(Frame, st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=40), st.binary(max_size=200))
)


@given(sent=frames, sizes=st.lists(st.integers(1, 70), min_size=1))
def test_frames_come_out_as_they_went_in(sent: list[Frame], sizes: list[int]) -> None:
    stream = b"".join(PREFIX.pack(f.kind, f.call, len(f.head), len(f.body)) + f.head + f.body for f in sent)
    decoder, received, position, turn = FrameDecoder(), [], 0, 0
    while position < len(stream):
        size = sizes[turn % len(sizes)]
        received += decoder.feed(stream[position : position + size])
        position, turn = position + size, turn + 1
    assert received == sent
