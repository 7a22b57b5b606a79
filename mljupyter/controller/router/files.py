"""The file writer applies router configuration by renaming files into place, in make-before-break order."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from mljupyter.client.errors import ControllerError
from mljupyter.controller.router.local_http import UNREACHABLE, LocalHttp
from mljupyter.controller.router.resource_files import CLUSTERS, LISTENERS, RouterFiles, file_of, whole
from mljupyter.files import write_whole

_IN_FORCE_WITHIN = 5.0
_LOOK_EVERY = 0.003
_CHECK_ALL_EVERY = 10.0
_MOST_NAMED = 8  # statistics in one question; for more, all are asked for
_REPLICAS = "eds-"
_ORDER = ("ecds", "sds", "eds", "cds", "rds", "lds")

log = logging.getLogger(__name__)


class ConfigurationRefusedError(ControllerError):
    """The router refuses a configuration. The previous one stays in force."""


class ReplicaStream(Protocol):
    """Sends the replicas of clusters to the router, where it does not read them in files; see `RouterSettings`."""

    def put(self, cluster: str, document: Mapping[str, Any]) -> None:
        """Send the document of a cluster: that of its file."""
        ...

    def again(self, clusters: Iterable[str]) -> None:
        """Send the replicas of clusters again. The router waits for them when it has replaced a cluster."""
        ...

    def forget(self, cluster: str) -> None:
        """Forget a cluster that the router does not have any more."""
        ...

    def has(self, cluster: str, version: str) -> bool:
        """Return whether a version is in force."""
        ...

    async def in_force(self, versions: Mapping[str, str], within: float) -> None:
        """Return when these versions are in force, by cluster.

        Raises:
            ConfigurationRefusedError: when the router refuses one.
            ControllerError: when it does not follow within a number of seconds.

        """
        ...


class FileWriter:
    """Writes the router's files, and reads in its statistics which of them are in force.

    The router's report decides what has to be written, not the earlier writes, so a refused file is written again. The
    order is: replicas and clusters before the routes to them, listeners last; unneeded resources are removed after
    that. Files that were in force and have not changed are checked every ten seconds, and after each failure.

    Parameters:
        directory: the directory of the files.
        admin: a client of the router's admin interface.
        stream: sends the replicas. Their files are then for the next start alone.

    """

    def __init__(self, directory: Path, admin: LocalHttp, stream: ReplicaStream | None = None) -> None:
        self._directory = directory
        self._admin = admin
        self._stream = stream
        self._in_step = False  # whether the router had all of the written files in force
        self._checked_at = 0.0  # the monotonic time of the last check of all files
        for unfinished in directory.glob(".*.json.*"):  # left by a killed process
            unfinished.unlink(missing_ok=True)
        self._written = _load(directory)
        self._stamps = {name: stamp(directory / name) for name in self._written.documents}
        self._refusals_before = 0
        if stream is not None:
            for name, document in self._written.documents.items():
                if name.startswith(_REPLICAS):
                    stream.put(_cluster(name), document)

    @property
    def empty(self) -> bool:
        """Whether no configuration was ever written."""
        return not self._written.documents

    @property
    def written(self) -> RouterFiles:
        """The configuration that was written last."""
        return self._written

    def write_all(self, files: RouterFiles) -> None:
        """Write all files at once, for a router that does not run yet and reads them at its start."""
        for name in sorted(files.documents, key=_rank):
            self.put(name, files.documents[name])
        self._finish(files)
        self._in_step = False

    async def apply(self, files: RouterFiles) -> None:
        """Write the changes step by step. Return when all of them are in force.

        Raises:
            ConfigurationRefusedError: when the router refuses a file. The previous configuration stays in force.
            ControllerError: when it does not answer, or does not follow in time.

        """
        now, before = time.monotonic(), self._written.documents
        check_all = not self._in_step or now - self._checked_at > _CHECK_ALL_EVERY
        self._in_step = False
        looked_at = {name for name, one in files.documents.items() if check_all or before.get(name) is not one}
        asked = {name for name in looked_at if not self._is_streamed(name)}
        reported = await self._versions(asked)
        changed = {name for name in asked if reported.get(_statistic(name)) != files.version(name)}
        changed |= {name for name in looked_at - asked if not self._has(name, files.version(name))}
        changed |= {name for name in looked_at if not self._intact(name)}  # for the next router that is started
        if not all(map(self._is_streamed, changed)):
            self._refusals_before = await self._refusals()
        if changed or before.get(CLUSTERS) is not files.documents[CLUSTERS]:
            await self._write(files, changed, reported)
        self._finish(files)
        self._in_step = True
        self._checked_at = now if check_all else self._checked_at

    def repair(self) -> None:
        """Write changed or removed files again, before a router is started that reads them."""
        for name in sorted(self._written.documents, key=_rank):
            if not self._intact(name):
                log.warning("the router's file %s was damaged or removed: it is written again", name)
                self.put(name, self._written.documents[name])

    async def confirm(self, admin: LocalHttp) -> None:
        """Return when the last configuration is in force in another router.

        Raises:
            ControllerError: when it refuses a file or does not answer.

        """
        documents = self._written.documents
        other = FileWriter(self._directory, admin)
        other._stream = self._stream
        await other._in_force({name: self._written.version(name) for name in documents})

    async def _write(self, files: RouterFiles, changed: set[str], reported: Mapping[str, str]) -> None:
        replicas = {name for name in changed if name.startswith(_REPLICAS)}
        routes = {name for name in changed if name.startswith("rds-")}
        others = {name for name in changed if name.startswith(("ecds-", "sds-"))}  # filters, certificates
        for name in (*others, *replicas):
            self.put(name, files.documents[name])
        merged = files.documents[CLUSTERS]
        if CLUSTERS in changed:
            merged = files.merged_clusters(self._written)
            self.put(CLUSTERS, merged)
            await self._in_force({CLUSTERS: merged["version_info"]})
        replicas |= self._send_again(files)
        await self._in_force({name: files.version(name) for name in replicas})
        await self._in_force({name: files.version(name) for name in others if _statistic(name) in reported})
        for name in routes:
            self.put(name, files.documents[name])
        listening = {name for name in routes if _statistic(name) in reported}
        await self._in_force({name: files.version(name) for name in listening})
        if LISTENERS in changed:
            self.put(LISTENERS, files.documents[LISTENERS])
            await self._in_force({name: files.version(name) for name in (LISTENERS, *routes, *others)})
        if merged is not files.documents[CLUSTERS]:
            self.put(CLUSTERS, files.documents[CLUSTERS])
            await self._in_force({CLUSTERS: files.version(CLUSTERS)})

    def put(self, name: str, document: dict[str, Any]) -> None:
        """Write one file by renaming it into place: the router notices only renames, and never reads half a file."""
        write_whole(self._directory / name, json.dumps(document))
        self._stamps[name] = stamp(self._directory / name)
        if self._stream is not None and name.startswith(_REPLICAS):
            self._stream.put(_cluster(name), document)

    def _is_streamed(self, name: str) -> bool:
        return self._stream is not None and name.startswith(_REPLICAS)

    def _has(self, name: str, version: str) -> bool:
        """Return whether the router has a version of the replicas of a cluster from the stream."""
        return self._stream is not None and self._stream.has(_cluster(name), version)

    def _send_again(self, files: RouterFiles) -> set[str]:
        """Send the replicas of changed clusters again: the router replaces these clusters when it has them.

        Returns:
            the names of their files.

        """
        known = self._written.documents.get(CLUSTERS, {})
        if self._stream is None or known is files.documents[CLUSTERS]:
            return set()
        before = {one["name"]: one for one in known.get("resources", [])}
        named = {one["name"]: one for one in files.documents[CLUSTERS]["resources"]}
        changed = {
            name for name, one in named.items() if before.get(name) != one and file_of("eds", name) in files.documents
        }
        self._stream.again(changed)
        return {file_of("eds", name) for name in changed}

    def _intact(self, name: str) -> bool:
        """Return whether a file is still the one that was written or read last, not changed or removed since."""
        return name in self._stamps and self._stamps[name] == stamp(self._directory / name)

    def _finish(self, files: RouterFiles) -> None:
        for name in set(self._written.documents) - set(files.documents):
            (self._directory / name).unlink(missing_ok=True)
            self._stamps.pop(name, None)
            if self._stream is not None and name.startswith(_REPLICAS):
                self._stream.forget(_cluster(name))
        self._written = files

    async def _in_force(self, versions: dict[str, str]) -> None:
        """Wait until the router reports these versions of these files."""
        if self._stream is not None:
            streamed = {_cluster(name): versions[name] for name in versions if self._is_streamed(name)}
            await self._stream.in_force(streamed, _IN_FORCE_WITHIN)
        wanted = {_statistic(name): version for name, version in versions.items() if not self._is_streamed(name)}
        if not wanted:
            return
        deadline = asyncio.get_running_loop().time() + _IN_FORCE_WITHIN
        while True:
            found = await self._versions(name for name in versions if not self._is_streamed(name))
            missing = [name for name, version in wanted.items() if found.get(name) != version]
            if not missing:
                return
            refused = await self._refusals() - self._refusals_before
            if refused or asyncio.get_running_loop().time() > deadline:
                files = ", ".join(sorted(missing))
                if refused:
                    raise ConfigurationRefusedError(f"the router refused a change of {files}.")
                raise ControllerError(f"the router did not follow a change of {files}.")
            await asyncio.sleep(_LOOK_EVERY)

    async def _versions(self, files: Iterable[str]) -> dict[str, str]:
        """Return the versions of files that the router reports; perhaps those of others, too."""
        names = sorted(_statistic(name) for name in files)
        if not names:
            return {}
        few = f"^({'|'.join(map(re.escape, names))})$" if len(names) <= _MOST_NAMED else "version_text$"
        return await self._statistics(few, "TextReadouts")

    async def _refusals(self) -> int:
        found = await self._statistics("update_(rejected|failure)$", "Counters")
        return sum(int(value) for value in found.values())

    async def _statistics(self, pattern: str, kind: str) -> dict[str, Any]:
        try:
            _, body = await self._admin.get("/stats", format="json", filter=pattern, type=kind)
        except UNREACHABLE as error:
            raise ControllerError(f"the router does not answer: {type(error).__name__}.") from None
        return {item["name"]: item["value"] for item in json.loads(body)["stats"] if "name" in item}


def unreadable(directory: Path) -> list[Path]:
    """Return the router's files that are empty or damaged."""
    return [path for path in _paths(directory) if _document(path) is None]


def stamp(path: Path) -> tuple[int, ...] | None:
    """Return values that change with every write of a file, even in place; None without a file."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _load(directory: Path) -> RouterFiles:
    """Return the written files. One that is empty or damaged counts as not written, and is written again."""
    found = {path.name: _document(path) for path in _paths(directory)}
    for name in (name for name, document in found.items() if document is None):
        log.warning("the router's file %s is empty or damaged: it is written again", name)
    return RouterFiles({name: document for name, document in found.items() if document is not None})


def _paths(directory: Path) -> list[Path]:
    return [path for path in directory.glob("*.json") if path.name.split(".")[0].split("-")[0] in _ORDER]


def _document(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return document if whole(document) else None


def _rank(name: str) -> int:
    return _ORDER.index(name.split(".")[0].split("-")[0])


def _cluster(file: str) -> str:
    """Return the cluster whose replicas are in a file."""
    return file.removeprefix(_REPLICAS).removesuffix(".json")


def _statistic(file: str) -> str:
    """Return the name of the router's statistic with the version of a file that is in force."""
    stem = file.removesuffix(".json")
    if file == LISTENERS:
        return "listener_manager.lds.version_text"
    if file == CLUSTERS:
        return "cluster_manager.cds.version_text"
    kind, _, name = stem.partition("-")
    return {
        "eds": f"cluster.{name}.version_text",
        "rds": f"http.{name}.rds.{name}.version_text",
        "sds": f"sds.{name}.version_text",
        "ecds": f"extension_config_discovery.http_filter.{name}.version_text",
    }[kind]
