"""Counter increments since the last reading; they survive a restart of the reader."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping

from mljupyter.telemetry.metrics.histogram import Histogram
from mljupyter.telemetry.metrics.samples import COUNTERS, NOTHING, Counts


class Progress:
    """The last reading of each source.

    A source has a name and the identity of its counters: a new identity counts from zero. `commit` confirms the
    increments that `advance` returned. After a failed reading, `begin` discards them, and the next `advance` returns
    them again.

    Parameters:
        saved: the result of `changed` of an earlier reader.

    Example:
        >>> progress = Progress({})
        >>> progress.advance("router:a", "7@1", Counts(requests=5)).requests
        5
        >>> progress.commit()
        >>> progress.advance("router:a", "7@1", Counts(requests=8)).requests
        3

    """

    def __init__(self, saved: Mapping[str, str]) -> None:
        self._last = {source: _read(text) for source, text in saved.items()}
        self._new: dict[str, tuple[str, Counts]] = {}

    def begin(self) -> None:
        """Begin a reading: discard all readings since the last `commit`."""
        self._new.clear()

    def advance(self, source: str, identity: str, reading: Counts, after: str = "") -> Counts:
        """Return the increment of a source since the last committed reading.

        Parameters:
            source: the source.
            identity: that of its counters.
            reading: their present values.
            after: another source that had these counters before: they go on from its last reading, if that has the
                same identity.

        """
        before = known = self._last.get(source)
        if before is None and after:
            before = self._last.get(after)
        if before is not None and before[0] == identity and (before[1] is reading or before[1] == reading):
            if known is None:
                self._new[source] = (identity, reading)
            return NOTHING
        self._new[source] = (identity, reading)
        return reading.since(before[1]) if before is not None and before[0] == identity else reading

    def knows(self, source: str) -> bool:
        """Return whether a source was read before."""
        return source in self._last or source in self._new

    def changed(self) -> dict[str, str]:
        """Return the positions of sources that have advanced since `begin`, in a form to save."""
        return {source: _text(*reading) for source, reading in self._new.items()}

    def commit(self) -> None:
        """Confirm the readings, after their increments have been stored."""
        self._last.update(self._new)
        self._new.clear()

    def gone(self, kept: Collection[str]) -> list[str]:
        """Return the known sources that are not in `kept`."""
        return [source for source in self._last if source not in kept]

    def forget(self, sources: Iterable[str]) -> None:
        """Forget sources. If they appear again, they count from zero."""
        for source in sources:
            self._last.pop(source, None)
            self._new.pop(source, None)


def _text(identity: str, counts: Counts) -> str:
    latency = (counts.latency.encode() or b"").hex()
    return json.dumps([identity, [getattr(counts, name) for name in COUNTERS], latency], separators=(",", ":"))


def _read(text: str) -> tuple[str, Counts]:
    identity, numbers, latency = json.loads(text)
    numbers += [0] * (len(COUNTERS) - len(numbers))  # an earlier release had fewer counters
    return identity, Counts.of(numbers, Histogram.decode(bytes.fromhex(latency)))
