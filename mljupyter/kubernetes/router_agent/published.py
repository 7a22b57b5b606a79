"""The published listener settings, kept in a file for an agent that restarts while the API server is unreachable."""

from __future__ import annotations

import contextlib
from pathlib import Path

from mljupyter.engine.envoy.listener import Listening
from mljupyter.files import write_whole
from mljupyter.kubernetes.objects.published import PublishedError, parse_listening, version_of
from mljupyter.spec import CertificateStatus, EndpointSpec, Problem, RouterSpec


class PublishedListening:
    """Has the listener settings that the operator published last, for the router of a pod."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._listening = Listening()
        self.version = ""
        with contextlib.suppress(OSError, PublishedError):
            self._take(file.read_text(encoding="utf-8"))

    @property
    def known(self) -> bool:
        """Whether any settings were published."""
        return bool(self.version)

    @property
    def spec(self) -> RouterSpec:
        """The desired listen settings of the router."""
        return self._listening.spec

    def listening(self) -> Listening:
        """Return the current listener settings of the router."""
        return self._listening

    def put(self, text: str) -> None:
        """Take over a published document.

        Raises:
            PublishedError: when it cannot be read. The former one stays.

        """
        self._take(text)
        write_whole(self._file, text)

    def refusal(self, endpoint: EndpointSpec) -> Problem | None:
        """Return None: the operator judges the keys of tokens."""
        return None

    def status(self, endpoint: EndpointSpec | None) -> CertificateStatus | None:
        """Return None: the operator knows the certificates."""
        return None

    def problem(self, endpoint: EndpointSpec | None) -> Problem | None:
        """Return None: the operator judges the certificates."""
        return None

    def _take(self, text: str) -> None:
        self._listening, self.version = parse_listening(text), version_of(text)
