"""Archive files: a ZIP file of uncompressed entries, and a manifest with the digest and size of each.

Uncompressed, because an entry then cannot grow while it is read, and models hardly shrink. Names of entries are never
used as paths before `checked_name` has passed them.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from mljupyter.files import draft_of
from mljupyter.outside import json_value
from mljupyter.registry.artifacts.content import Readable, copy_content, write_verified
from mljupyter.registry.errors import FULL_DISK_ERRNOS, ArtifactError, storage_full
from mljupyter.transfer.errors import ArchiveError, PassphraseError
from mljupyter.transfer.progress import Tracker
from mljupyter.transfer.sealing import is_sealed, sealed, unsealed

FORMAT = "mljupyter-archive"
FORMAT_VERSION = 1
MANIFEST = "mljupyter.json"
_MOST_MANIFEST_BYTES = 256 << 20
_MOST_NAME = 1024
_HEX = re.compile(r"[0-9a-f]{64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_EARLY = (1980, 1, 1, 0, 0, 0)


class ArchiveWriter:
    """Writes an archive that only its owner can read. It appears under its name when it is complete.

    Use it with `written`.
    """

    def __init__(self, archive: zipfile.ZipFile, path: Path, tracker: Tracker) -> None:
        self._archive = archive
        self._path = path
        self._tracker = tracker
        self._entries: dict[str, dict[str, Any]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def add(self, name: str, source: Readable, *, mode: int | None = None) -> tuple[str, int]:
        """Add an entry from a source. Return its digest in hexadecimal and its size."""
        with self._full_disk():
            sink = self._archive.open(zipfile.ZipInfo(checked_name(name), _EARLY), "w", force_zip64=True)
        with sink:

            def write(chunk: memoryview) -> None:
                with self._full_disk():
                    sink.write(chunk)

            hexadecimal, size = copy_content(source, write, self._tracker.advance)
        self._entries[name] = {"sha256": hexadecimal, "size": size} | ({} if mode is None else {"mode": mode})
        return hexadecimal, size

    def add_bytes(self, name: str, content: bytes) -> None:
        """Add an entry with small content."""
        self.add(name, io.BytesIO(content))

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Add the manifest as the last entry."""
        document = {"format": FORMAT, "version": FORMAT_VERSION, **manifest, "entries": self._entries}
        content = json.dumps(document, ensure_ascii=True, sort_keys=True, default=str).encode()
        if len(content) > _MOST_MANIFEST_BYTES:
            raise ArchiveError(f"The manifest takes {len(content):,} bytes; at most {_MOST_MANIFEST_BYTES:,} fit.")
        with self._full_disk():
            self._archive.writestr(zipfile.ZipInfo(MANIFEST, _EARLY), content)

    @contextmanager
    def _full_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _cannot_write(self._path, error) from error


@contextmanager
def written(
    path: Path, tracker: Tracker, *, overwrite: bool = False, passphrase: str | None = None
) -> Iterator[ArchiveWriter]:
    """Yield a writer for a new archive at `path`, with mode 0600. After an error there is no file.

    With a passphrase the whole file is encrypted.

    Raises:
        ArchiveError: there is a file already and `overwrite` is not set, or the place cannot be written to.
        PassphraseError: the passphrase is too short.
        StorageFullError: the disk is full.

    """
    if path.is_dir() or (path.exists() and not overwrite):
        raise ArchiveError(f"{path} exists already: choose another name, or pass --overwrite (overwrite=True).")
    try:
        with draft_of(path) as draft, ExitStack() as stack:
            target: IO[bytes] = stack.enter_context(draft.open("wb"))
            if passphrase is not None:
                target = stack.enter_context(sealed(target, passphrase))
            archive = stack.enter_context(zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=True))
            yield ArchiveWriter(archive, path, tracker)
    except OSError as error:
        raise _cannot_write(path, error) from error


class ArchiveReader:
    """Reads an archive after checking its form. Use it in a ``with`` statement.

    Parameters:
        path: the archive.
        kind: the expected kind, ``export`` or ``backup``.
        passphrase: that of an encrypted archive; another one needs none.

    Raises:
        ArchiveError: it is none, is cut off, of another kind, by a newer release, or made to do harm.
        PassphraseError: it is encrypted, and the passphrase is missing or wrong.

    """

    def __init__(self, path: Path, kind: str, passphrase: str | None = None) -> None:
        self.path = path
        self._file: IO[bytes] | None = None
        try:
            if is_sealed(path):
                if passphrase is None:
                    raise PassphraseError(f"{path} is encrypted: give its passphrase, --passphrase-file (passphrase=).")
                self._file = unsealed(path, passphrase)
            self._archive = zipfile.ZipFile(self._file or path)
        except FileNotFoundError:
            raise ArchiveError(f"There is no archive {path}.") from None
        except OSError as error:
            raise ArchiveError(f"{path} cannot be read: {error.strerror or error}.") from error
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise ArchiveError(
                f"{path} is no archive of mljupyter, or it was cut off: {error}.\nCopy it again, or take another one."
            ) from error
        try:
            self._check_form()
            self.manifest = self._read_manifest(kind)
            self.entries = self._checked_entries()
        except BaseException:
            self.close()
            raise

    def size(self, name: str) -> int:
        """Return the size of an entry in bytes."""
        return int(self.entries[name]["size"])

    def read(self, name: str, most: int = _MOST_MANIFEST_BYTES) -> bytes:
        """Return the content of a small entry after checking its digest."""
        entry = self._entry(name)
        if entry["size"] > most:
            raise self._refused(f"{name!r} has {entry['size']:,} bytes, at most {most:,} are read")
        with self._damage(name), self._archive.open(name) as source:
            content = source.read()
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise self._damaged(name)
        return content

    @contextmanager
    def opened(self, name: str) -> Iterator[Readable]:
        """Yield the content of an entry, without checking its digest."""
        self._entry(name)
        with self._damage(name), self._archive.open(name) as source:
            yield cast(Readable, source)

    def extract(self, name: str, target: Path, mode: int, tracker: Tracker) -> None:
        """Write an entry to the new file `target` after checking its digest.

        Raises:
            ArchiveError: the entry is damaged.
            StorageFullError: the disk is full.

        """
        entry = self._entry(name)
        with self._damage(name), self._archive.open(name) as source:
            try:
                write_verified(
                    tracker.counted(cast(Readable, source)),
                    target,
                    expected_hex=entry["sha256"],
                    expected_size=entry["size"],
                    mode=mode,
                )
            except ArtifactError as error:
                raise self._damaged(name) from error
            except OSError as error:
                if error.errno in FULL_DISK_ERRNOS:
                    raise storage_full(target.parent, entry["size"], name, error.strerror or str(error)) from error
                raise

    def close(self) -> None:
        """Close the file."""
        self._archive.close()
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_form(self) -> None:
        """Refuse entries that a writer of this project does not write: compressed, encrypted, twice, overlapping."""
        infos = self._archive.infolist()
        names = [info.filename for info in infos]
        if len(set(names)) != len(names):
            raise self._refused("it has two entries of one name")
        for info in infos:
            checked_name(info.filename, self.path)
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                raise self._refused(f"{info.filename!r:.200} is compressed, and could grow without bounds")
            if info.flag_bits & 1:
                raise self._refused(f"{info.filename!r:.200} has a password")
        if sum(info.file_size for info in infos) > self.path.stat().st_size:
            raise self._refused("its entries overlap, and together are larger than the file")

    def _read_manifest(self, kind: str) -> dict[str, Any]:
        try:
            info = self._archive.getinfo(MANIFEST)
        except KeyError:
            raise ArchiveError(
                f"{self.path} is a ZIP file, and no archive of mljupyter: it has no {MANIFEST}.\n"
                "Archives are made by 'mljupyter workspace export' and 'mljupyter workspace backup'."
            ) from None
        if info.file_size > _MOST_MANIFEST_BYTES:
            raise self._refused(f"its manifest has {info.file_size:,} bytes")
        with self._damage(MANIFEST):
            content = self._archive.read(MANIFEST)
        try:
            document = json_value(content)
        except ValueError as error:
            raise self._refused(f"its manifest is no JSON ({str(error)[:200]})") from error
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise self._refused(f"its manifest does not name the format {FORMAT}")
        if document.get("version") != FORMAT_VERSION:
            raise ArchiveError(
                f"{self.path} has version {document.get('version')!r:.20} of the format; this release reads "
                f"{FORMAT_VERSION}.\nA newer release wrote it. Upgrade: pip install --upgrade mljupyter"
            )
        if document.get("kind") != kind:
            command = {"export": "import", "backup": "restore"}.get(str(document.get("kind")))
            hint = f"\nUse: mljupyter workspace {command} {self.path}" if command else ""
            raise ArchiveError(f"{self.path} is of kind {document.get('kind')!r:.40}, not {kind!r}.{hint}")
        return document

    def _checked_entries(self) -> dict[str, dict[str, Any]]:
        entries = self.manifest.get("entries")
        sizes = {info.filename: info.file_size for info in self._archive.infolist() if info.filename != MANIFEST}
        if not isinstance(entries, dict) or entries.keys() != sizes.keys():
            raise self._refused("its manifest does not list the entries that it has")
        for name, entry in entries.items():
            hexadecimal = entry.get("sha256") if isinstance(entry, dict) else None
            if not isinstance(hexadecimal, str) or not _HEX.fullmatch(hexadecimal) or entry.get("size") != sizes[name]:
                raise self._refused(f"its manifest has no digest or another size for {name!r:.200}")
        return entries

    def _entry(self, name: str) -> dict[str, Any]:
        if name not in self.entries:
            raise self._refused(f"it has no {name!r:.200}, which its manifest needs")
        return self.entries[name]

    @contextmanager
    def _damage(self, name: str) -> Iterator[None]:
        try:
            yield
        except (zipfile.BadZipFile, EOFError) as error:
            raise self._damaged(name) from error

    def _damaged(self, name: str) -> ArchiveError:
        return ArchiveError(
            f"{self.path} is damaged: {name!r:.200} does not have the digest of the manifest. Nothing was changed.\n"
            "Copy the archive again, or take another one."
        )

    def _refused(self, reason: str) -> ArchiveError:
        return refused(self.path, reason)


def refused(path: Path, reason: str) -> ArchiveError:
    """Return the error for an archive that mljupyter has not written in this form."""
    return ArchiveError(f"{path} is refused: {reason}. Nothing was changed.\nmljupyter writes no such archives.")


def checked_name(name: str, archive: Path | None = None) -> str:
    """Return the name of an entry if it is a relative path without ``..``, else raise `ArchiveError`."""
    parts = name.split("/")
    if len(name) > _MOST_NAME or _CONTROL.search(name) or any(part in ("", ".", "..") for part in parts):
        raise refused(archive or Path(name), f"the entry {name!r:.200} leads out of its directory")
    return name


def _cannot_write(path: Path, error: OSError) -> Exception:
    reason = error.strerror or str(error)
    if error.errno in FULL_DISK_ERRNOS:
        return storage_full(path.parent, None, path.name, reason)
    return ArchiveError(f"{path} cannot be written: {reason}.\nCheck the directory and its permissions.")
