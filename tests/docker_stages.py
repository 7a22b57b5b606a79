"""The stages that a Docker engine keeps of builds: tests profit from those before, and the last of them removes them.

Builds of all workers of pytest-xdist use them, so they are removed when no worker runs any more.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

_LABELS = ("mljupyter/environment", "mljupyter/server")
_KEY = "docker_stages"
_before = pytest.StashKey[set[str]]()


def note_present(config: pytest.Config) -> None:
    """Note which stages are there before the first build of this process: they stay."""
    if _before not in config.stash:
        with _engine() as client:
            config.stash[_before] = _untagged(client)


@contextlib.contextmanager
def _engine() -> Any:
    from mljupyter.build.images.docker.engine import connect

    client = connect()
    yield client
    client.close()


def _untagged(client: Any) -> set[str]:
    filters = [{"label": label, "dangling": True} for label in _LABELS]
    return {str(one["Id"]) for each in filters for one in client.api.images(filters=each)}


def _remove_all_but(before: set[str]) -> None:
    from docker.errors import APIError

    with _engine() as client:
        kept: set[str] = set()
        while made := _untagged(client) - before - kept:  # a stage is untagged as soon as those made of it are gone
            for identity in made:
                try:
                    client.images.remove(identity, force=True)
                except APIError:
                    kept.add(identity)  # somebody else uses it, or has removed it


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take over from a worker which stages were there before."""
    found = (getattr(node, "workeroutput", None) or {}).get(_KEY)
    if found is not None:
        stash = node.config.stash
        stash[_before] = set(found) & stash.get(_before, set(found))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the stages; a worker leaves that to the process that has started it."""
    config: Any = session.config
    before = config.stash.get(_before, None)
    if before is None:
        return
    if hasattr(config, "workeroutput"):
        config.workeroutput[_KEY] = sorted(before)
    else:
        _remove_all_but(before)
