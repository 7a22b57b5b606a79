"""Events of a build: stages with times, and log lines without secrets."""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import quote

from mljupyter.build.images.errors import BuildCancelledError

State = Literal["running", "succeeded", "failed", "cancelled"]
HIDDEN = "***"
KEPT_LINES = 20
MOST_LOG_LINES = 100_000
MOST_LINE_CHARACTERS = 4000
_USER_INFO = re.compile(r"(\w[\w+.-]*://)[^/\s@]+@")
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class BuildEvent:
    """An event of a build: a stage changed its state, or (`state` None) a line was logged in it.

    `time` is in seconds since the epoch; `seconds` is the duration of a stage that has ended. `warning` marks a line
    that is shown also where the log is not.
    """

    time: float
    stage: str
    state: State | None
    text: str = ""
    seconds: float | None = None
    warning: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the event as a document for JSON."""
        return asdict(self)


OnEvent = Callable[[BuildEvent], None]


class BuildLog:
    """Collects the events of one build, passes each to a callback, and removes secrets from all of them.

    Parameters:
        on_event: called for each event, in order; None for no callback.
        secrets: texts that must not appear in an event, such as passwords.
        cancel: an event that is set to stop the build.

    """

    def __init__(
        self, on_event: OnEvent | None = None, secrets: Iterable[str] = (), cancel: threading.Event | None = None
    ) -> None:
        self._on_event = on_event
        self._secrets: list[str] = []
        self._events: list[BuildEvent] = []
        self._stage = "prepare"
        self._began: float | None = None
        self._clock = 0.0
        self._dropped = 0
        self.cancel = cancel or threading.Event()
        self.hide(secrets)

    @property
    def current_stage(self) -> str:
        """The name of the running stage, else of the last one."""
        return self._stage

    def hide(self, secrets: Iterable[str]) -> None:
        """Redact these texts in everything that is logged from now on."""
        known = {*self._secrets, *(secret for secret in secrets if secret)}
        known |= {quote(secret, safe="") for secret in known}
        self._secrets = sorted(known, key=len, reverse=True)

    def redacted(self, text: str) -> str:
        """Return a text without secrets, user information in URLs and control characters."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return _CONTROL.sub("", _USER_INFO.sub(rf"\1{HIDDEN}@", text))

    def begin(self, stage: str) -> None:
        """Start a stage. The running one is recorded as succeeded."""
        if self._began is not None:
            self.end("succeeded")
        self._stage, self._began, self._clock = stage, time.time(), time.monotonic()
        self._add(BuildEvent(self._began, stage, "running"))

    def end(self, state: State) -> None:
        """End the running stage. Do nothing if there is none."""
        if self._began is not None:
            self._began = None
            self._add(BuildEvent(time.time(), self._stage, state, seconds=round(time.monotonic() - self._clock, 3)))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Run a block as a stage."""
        self.begin(name)
        try:
            yield
        except BuildCancelledError:
            self.end("cancelled")
            raise
        except BaseException:
            self.end("failed")
            raise
        self.end("succeeded")

    def line(self, text: str) -> None:
        """Log text, line by line."""
        for raw in text.splitlines():
            line = self.redacted(raw).rstrip()
            if not line:
                continue
            if len(self._events) >= MOST_LOG_LINES:
                self._dropped += 1
                continue
            self._add(BuildEvent(time.time(), self._stage, None, line[:MOST_LINE_CHARACTERS]))

    def raise_if_cancelled(self) -> None:
        """Raise `BuildCancelledError` when the build was cancelled."""
        if self.cancel.is_set():
            raise BuildCancelledError("The image build was cancelled.")

    @property
    def events(self) -> list[BuildEvent]:
        """All events so far."""
        return list(self._events)

    @property
    def stages(self) -> dict[str, float]:
        """The duration of each ended stage in seconds."""
        return {event.stage: event.seconds for event in self._events if event.seconds is not None}

    def last_lines(self, count: int = KEPT_LINES) -> list[str]:
        """Return the end of the log."""
        return [event.text for event in self._events if event.state is None][-count:]

    def text(self) -> str:
        """Return the whole log: stages with their times, and the lines of each."""
        lines = []
        for event in self._events:
            if event.state is None:
                lines.append(event.text)
            elif event.seconds is None:
                lines.append(f"--- {event.stage}")
            else:
                lines.append(f"--- {event.stage}: {event.state} after {event.seconds:.1f} s")
        if self._dropped:
            lines.append(f"({self._dropped} more lines were not kept)")
        return "".join(f"{line}\n" for line in lines)

    def _add(self, event: BuildEvent) -> None:
        self._events.append(event)
        if self._on_event is not None:
            self._on_event(event)


def basic_credentials(username: str, password: str) -> str:
    """Return the pair in the encoding of HTTP's Basic authentication, which is as secret as the password."""
    return base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
