"""Download: fetch files into a directory, checked by digest and with bounded memory."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mljupyter.scoring.fetch.errors import FetchError, InterruptedFetchError
from mljupyter.scoring.fetch.models import ModelFile, Wanted, different, files_of
from mljupyter.scoring.fetch.registry import CHUNK_BYTES, Registry

_PARTIAL = ".partial"
_PAUSES = (0.5, 1, 2, 4, 8, 15, 30)
"""Seconds before another attempt; a download that makes progress begins with the first pause again."""

_SAID_EVERY = 1.0
_FULL = (errno.ENOSPC, errno.EDQUOT)
_MB = 1_000_000


class Download:
    """Fetches models into a directory.

    Parameters:
        registry: the registry that has them.
        directory: the directory of all models.
        say: called with the progress, at most once a second.
        pause: waits for a number of seconds.

    """

    def __init__(
        self,
        registry: Registry,
        directory: Path,
        say: Callable[[str], None],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._registry = registry
        self._directory = directory
        self._say = say
        self._state: tuple[str, int] | None = None  # the model that is fetched, and the bytes of all that are there
        self._pause = pause
        self._said = 0.0
        self._placed: dict[tuple[str, bool], Path] = {}
        self._done = 0
        self._total = 0

    def fetch(self, models: Sequence[Wanted]) -> int:
        """Fetch models, and return their size in bytes. Files that are there already are kept.

        Raises:
            FetchError: a model is missing, refused or damaged, or the disk is full.
            InterruptedFetchError: the registry does not answer.

        """
        over = threading.Event()
        teller = threading.Thread(target=self._tell_progress, args=(over,), daemon=True)
        teller.start()
        try:
            return self._fetch(models)
        finally:
            over.set()
            teller.join()

    def _fetch(self, models: Sequence[Wanted]) -> int:
        files = []
        for number, model in enumerate(models, 1):
            if time.monotonic() - self._said > _SAID_EVERY:
                self._tell(f"fetching {len(models):,} models: the sizes of {number:,} are known")
            files += files_of(model, self._registry, self._again)
        self._total = sum(file.size for file in files)
        try:
            self._check_room(files)
            for file in files:
                self._place(file)
            shutil.rmtree(self._directory / _PARTIAL, ignore_errors=True)
        except OSError as error:
            if error.errno in _FULL:
                raise self._full() from None
            raise FetchError(f"models cannot be written: {error.strerror or error}. Look at the node's disk.") from None
        return self._total

    def _check_room(self, files: Sequence[ModelFile]) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        missing = sum(file.size for file in files if not self._is_there(file))
        partial = self._directory / _PARTIAL
        missing -= sum(path.stat().st_size for path in partial.iterdir()) if partial.is_dir() else 0
        if missing > shutil.disk_usage(self._directory).free:
            raise self._full()

    def _full(self) -> FetchError:
        size, free = (_amount(one / _MB) for one in (self._total, shutil.disk_usage(self._directory).free))
        return FetchError(
            f"the disk of the node is full: the models take {size} MB, and {free} MB are free. Free space there, "
            "choose nodes with larger disks (node_selector), or deploy with model_delivery='bake'."
        )

    def _is_there(self, file: ModelFile) -> bool:
        """Return whether a file has its name already: it gets it only after its digest was checked."""
        path = self._directory / file.path
        return path.is_file() and path.stat().st_size == file.size

    def _place(self, file: ModelFile) -> None:
        path = self._directory / file.path
        if file.digest is None:
            path.mkdir(parents=True, exist_ok=True)
            return
        key = (file.digest, file.executable)
        if self._is_there(file):
            self._placed[key] = path
            self._done += file.size
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if key in self._placed:  # equal files take their space once
            os.link(self._placed[key], path)
            self._done += file.size
            return
        partial = self._partial(file)
        try:
            self._again(lambda: self._complete(file, partial))
        except _DamagedError:
            partial.unlink(missing_ok=True)  # what was there of an earlier run may be the cause
            try:
                self._again(lambda: self._complete(file, partial))
            except _DamagedError:
                partial.unlink(missing_ok=True)
                raise different(file.model) from None
        partial.chmod(0o555 if file.executable else 0o444)
        partial.rename(path)
        self._placed[key] = path
        self._done += file.size

    def _partial(self, file: ModelFile) -> Path:
        place = self._directory / _PARTIAL
        place.mkdir(exist_ok=True)
        return place / str(file.digest).removeprefix("sha256:")

    def _complete(self, file: ModelFile, partial: Path) -> None:
        """Download what is missing of a file, and compare all of it with its digest."""
        content = hashlib.sha256()
        with partial.open("a+b") as target:
            target.seek(0)
            there = 0
            while chunk := target.read(CHUNK_BYTES):
                content.update(chunk)
                there += len(chunk)
            if there < file.size:
                for part in self._registry.blob(str(file.digest), there, f"a file of model {file.model}"):
                    if part is None:
                        target.truncate(0)
                        content, there = hashlib.sha256(), 0
                        continue
                    target.write(part)
                    content.update(part)
                    there += len(part)
                    self._state = file.model, self._done + there
                    if there > file.size:
                        break
        if there < file.size:
            raise InterruptedFetchError(f"the registry {self._registry.host} ends a download before its end.")
        if there > file.size or f"sha256:{content.hexdigest()}" != file.digest:
            self._registry.close()  # the rest of a longer answer is not read
            raise _DamagedError

    def _again(self, call: Callable[[], Any]) -> Any:
        """Call a function again while the registry does not answer, for about a minute without progress."""
        attempt, done = 0, -1
        while True:
            try:
                return call()
            except InterruptedFetchError as error:
                there = self._downloaded()
                attempt, done = (attempt + 1, done) if there <= done else (0, there)
                if attempt >= len(_PAUSES):
                    raise
                self._tell(f"{error} Trying again")
                self._pause(_PAUSES[attempt])

    def _downloaded(self) -> int:
        partial = self._directory / _PARTIAL
        return sum(path.stat().st_size for path in partial.iterdir()) if partial.is_dir() else 0

    def _tell_progress(self, over: threading.Event) -> None:
        """Tell the progress while there is some. A registry that stalls must not leave the line before it standing."""
        told, ended = None, False
        while not ended:
            ended = over.wait(_SAID_EVERY)
            state = self._state
            if state is not None and state != told:
                told = state
                self._tell(progress(*state, self._total))

    def _tell(self, text: str) -> None:
        self._said = time.monotonic()
        self._say(text)


class _DamagedError(Exception):
    """A file differs from its digest."""


def progress(model: str, done: int, total: int) -> str:
    """Return the progress as text.

    Example:
        >>> progress("churn:3", 120_000_000, 800_000_000)
        'fetching model churn:3, 120 of 800 MB'

    """
    unit, size = ("MB", _MB) if total >= _MB else ("kB", 1000)
    return f"fetching model {model}, {_amount(done / size)} of {_amount(total / size)} {unit}"


def _amount(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 or not number else f"{number:.2g}"
