"""Models as OCI artifacts in a container registry: one artifact for each content, pushed once.

All are in one repository. The tag is the digest of the content without ``sha256:``, so versions, endpoints and
workspaces share an artifact. A model that is one file has one blob. A directory has its list of files as the
configuration, and a blob for each file. Blobs are stored as they are: the digest of a file is its digest in the
artifact store, and nothing is compressed or packed. `mljupyter.scoring.fetch` is the other side.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Protocol

from mljupyter.build.images.errors import RegistryNotFoundError
from mljupyter.build.images.events import BuildLog, OnEvent
from mljupyter.build.images.registry.credentials import RegistryCredentials, find_credentials
from mljupyter.build.images.registry.descriptors import OCI_MANIFEST
from mljupyter.build.images.registry.registry_client import RegistryClient
from mljupyter.engine.model_delivery import MODEL_REPOSITORY
from mljupyter.registry.artifacts import manifest
from mljupyter.registry.artifacts.manifest import ManifestEntry
from mljupyter.scoring.fetch.contract import DIRECTORY_TYPE
from mljupyter.spec import ModelReference

_FILE_TYPE = "application/vnd.mljupyter.model.file.v1+json"
_BLOB_TYPE = "application/octet-stream"
_NOTHING = b"{}"
_AT_ONCE = 8
_SAID_EVERY = 100
_SAID_FROM_BYTES = 1_000_000
_ASKED_FROM_BYTES = 100_000
"""Smaller files are uploaded without asking whether they are there, which takes as long."""


class Store(Protocol):
    """The source of models: an artifact store."""

    def entries(self, digest: str) -> list[ManifestEntry] | None:
        """Return the files of a stored directory; None for a single file."""
        ...

    def size(self, digest: str) -> int:
        """Return the size of an artifact."""
        ...

    def fetch(self, digest: str, target: Path) -> Path:
        """Place content at a path and return the path."""
        ...


def push_models(
    host: str,
    models: Sequence[ModelReference],
    store: Store,
    *,
    credentials: tuple[RegistryCredentials, ...] = (),
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
) -> int:
    """Push models to a container registry, without those that it has; return the number of bytes that were uploaded.

    Parameters:
        host: the registry.
        models: one or more models; equal content is pushed once.
        store: the artifact store that has them.
        credentials: credentials for the registry. Those of ``docker login`` are used as well.
        on_event: called with the stage ``models`` and its log lines.
        cancel: set it from another thread to stop.

    Raises:
        RegistryError, BuildCancelledError: the registry cannot be reached or refuses it; it was cancelled.

    """
    login = find_credentials(host, credentials)
    log = BuildLog(on_event, login.secrets if login is not None else (), cancel)
    by_content = {model.digest: model for model in models}
    with log.stage("models"), RegistryClient(host, MODEL_REPOSITORY, login) as client:
        first, *others = by_content.values()
        pushed = _push(client, first, store, log)  # alone, so that it obtains the authorization for all
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            running = [pool.submit(_push, client, model, store, log) for model in others]
            try:
                for number, one in enumerate(as_completed(running), 2):
                    pushed += one.result()
                    if number % _SAID_EVERY == 0:
                        log.line(f"{number:,} of {len(by_content):,} models")
            finally:
                pool.shutdown(cancel_futures=True)
        log.line(f"{len(by_content):,} models are in {host}/{MODEL_REPOSITORY}; {pushed:,} bytes were uploaded")
    return pushed


def _push(client: RegistryClient, model: ModelReference, store: Store, log: BuildLog) -> int:
    log.raise_if_cancelled()
    digest = model.digest
    tag = digest.removeprefix("sha256:")
    entries = store.entries(digest)
    if entries is None:
        config, kind = _NOTHING, _FILE_TYPE
        files = {digest: store.size(digest)}
    else:
        config, kind = manifest.encode(entries), DIRECTORY_TYPE
        files = {entry.digest: entry.size for entry in entries if entry.digest is not None}
    document = _manifest(config, kind, files)
    if _has(client, tag, document):
        return 0
    if (size := sum(files.values())) >= _SAID_FROM_BYTES:
        log.line(f"model {model.id}: uploading {size:,} bytes")
    pushed = 0
    with tempfile.TemporaryDirectory(prefix="mljupyter-model-") as temporary:
        for number, (name, size) in enumerate(files.items()):
            if size >= _ASKED_FROM_BYTES and client.has_blob(name):
                continue
            place = Path(temporary) / str(number) / "content"
            client.push_file(name, store.fetch(name, place), log.raise_if_cancelled)
            place.unlink()
            pushed += size
    if not client.has_blob(_digest(config)):
        client.push_blob(_digest(config), len(config), lambda: iter([config]))
    client.put_manifest(tag, document, OCI_MANIFEST)  # last, so that an incomplete artifact never appears
    return pushed


def _has(client: RegistryClient, tag: str, document: bytes) -> bool:
    try:
        return client.manifest(tag).digest == _digest(document)
    except RegistryNotFoundError:
        return False


def _manifest(config: bytes, kind: str, files: dict[str, int]) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": kind, "digest": _digest(config), "size": len(config)},
        "layers": [{"mediaType": _BLOB_TYPE, "digest": name, "size": size} for name, size in sorted(files.items())],
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
