"""The command ``python -m mljupyter.scoring.fetch``: fetch the models of a version before its container starts.

The last line of its log is the progress. Its termination message is the reason of a failure.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mljupyter.scoring.fetch.contract import DONE, FAILED, INTERRUPTED, NODE_VARIABLE
from mljupyter.scoring.fetch.download import Download
from mljupyter.scoring.fetch.errors import FetchError, InterruptedFetchError
from mljupyter.scoring.fetch.models import wanted_models
from mljupyter.scoring.fetch.registry import Registry, login_of

_TERMINATION_MESSAGE = Path("/dev/termination-log")


def main(arguments: Sequence[str]) -> int:
    """Fetch all models, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m mljupyter.scoring.fetch")
    parser.add_argument("--models", type=Path, required=True, help="file with registry and models, as JSON")
    parser.add_argument("--login", type=Path, required=True, help="configuration of Docker; it may be missing")
    parser.add_argument("--directory", type=Path, required=True, help="directory of all models")
    given = parser.parse_args(arguments)
    try:
        host, repository, models = wanted_models(given.models.read_text(encoding="utf-8"))
        login = login_of(given.login.read_bytes(), host) if given.login.is_file() else None
        registry = Registry(host, repository, login, os.environ.get(NODE_VARIABLE))
        with contextlib.closing(registry):
            size = Download(registry, given.directory, _say).fetch(models)
    except (FetchError, InterruptedFetchError) as error:
        text = str(error)
        _say(text)
        with contextlib.suppress(OSError):  # there is none outside of a pod
            _TERMINATION_MESSAGE.write_text(text, encoding="utf-8")
        return FAILED if isinstance(error, FetchError) else INTERRUPTED
    _say(f"{len(models):,} models with {size:,} bytes are there")
    return DONE


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
