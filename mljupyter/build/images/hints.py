"""Hints for builds of images that failed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mljupyter.build.failures import caused_outside, hint_for

# The first that matches counts: causes before consequences.
_CAUSES_OUTSIDE = (
    (
        r"no space left|disk quota exceeded|os error (28|122)\b",
        "No space is left: free some for the Docker engine (`docker system prune`) or uv's cache (`uv cache prune`).",
    ),
    (
        (
            r"registry \S+ (cannot be reached|does not answer)|Temporary failure in name resolution"
            r"|NewConnectionError|Failed to establish a new connection|i/o timeout|no such host|dial tcp"
            r"|TLS handshake|network is unreachable"
        ),
        "The network cannot be reached from the build: check it, the proxy and the addresses of index and registry.",
    ),
)
_HINTS = (
    *_CAUSES_OUTSIDE,
    (
        r"neither micromamba nor conda",
        "The environment has packages that only conda has: choose a base image with micromamba or conda.",
    ),
    (
        r"ensurepip is not available|No module named ['\"]?venv",
        "The base image's Python lacks the module venv: add it in extra steps (`RUN apt-get install -y python3-venv`).",
    ),
    (
        r"(python3[\d.]*|/bin/sh).*(not found|no such file)",
        "The base image has no python3 and sh: choose one with Python 3.11 or later, such as python:3.11-slim.",
    ),
    (
        r"Could not find a version that satisfies the requirement \S+ \(from versions: none\)",
        "The index has no such package: check its spelling; conda's name for a package may differ from that of PyPI.",
    ),
    (
        r"Could not find a version that satisfies the requirement|No matching distribution found",
        "A pinned version does not exist for this Python: pin another one, or leave the version out.",
    ),
    (
        r"registry \S+ refuses|unauthorized|authentication required|no basic auth credentials|denied: ",
        "The registry refused the credentials: check user name and password (base_image_registry, or `docker login`).",
    ),
    (
        (
            r"has no \S+/manifests/|pull access denied|manifest (for \S+ )?(not found|unknown)"
            r"|repository does not exist|name unknown"
        ),
        "The base image was not found: check its name and tag, and give credentials if its registry is private.",
    ),
)

# The lines of pip: building a wheel, its metadata or its build dependencies failed.
_SOURCE_FAILED = re.compile(
    r"failed building wheel|failed to build|metadata-generation-failed|subprocess-exited-with-error"
    r"|neither 'setup\.py' nor 'pyproject\.toml'",
    re.IGNORECASE,
)


def source_cannot_be_built(lines: Sequence[str]) -> bool:
    """Return whether pip's output says that a source cannot be built, and not that network or disk failed."""
    text = "\n".join(lines)
    outside = any(re.search(pattern, text, re.IGNORECASE) for pattern, _ in _CAUSES_OUTSIDE)
    return _SOURCE_FAILED.search(text) is not None and not outside and not caused_outside(lines)


def image_hint(lines: Sequence[str]) -> str | None:
    """Return a hint for an image build that failed with this output, None when there is none."""
    text = "\n".join(lines)
    mine = next((hint for pattern, hint in _HINTS if re.search(pattern, text, re.IGNORECASE)), None)
    return mine or hint_for(lines)
