"""Export: models, environments, datasets and the specs of endpoints, in one archive file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

from sqlalchemy import select

import mljupyter
from mljupyter.deploy.references import registered
from mljupyter.ownership import user_name
from mljupyter.registry.artifacts.store import ArtifactStore, Part
from mljupyter.registry.catalog.environment_tables import ENVIRONMENT_LABELS, ENVIRONMENTS
from mljupyter.registry.catalog.tables import MODELS
from mljupyter.registry.catalog.transactions import reading
from mljupyter.spec import EndpointRecord, EndpointSpec
from mljupyter.tracking.datastores import OWN
from mljupyter.tracking.tables import DATASETS, DATASTORE_FILES
from mljupyter.transfer.container import ArchiveWriter, written
from mljupyter.transfer.encryption import encrypted
from mljupyter.transfer.errors import ArchiveError
from mljupyter.transfer.progress import OnProgress, Tracker
from mljupyter.transfer.rows import document_of
from mljupyter.transfer.selection import chosen
from mljupyter.workspace.context import WorkspaceContext
from mljupyter.workspace.vault import Vault

SECRETS = "secrets.json"
CONTENT = "content"
_SECRET_COLUMNS = frozenset({"password"})


@dataclass(frozen=True)
class Exported:
    """The content of a written archive.

    Parameters:
        path: the archive.
        models, environments, datasets, endpoints: their ids and names.
        size: the size of the content in bytes.
        has_secrets: whether it has the secrets, encrypted.

    """

    path: Path
    models: tuple[str, ...]
    environments: tuple[str, ...]
    datasets: tuple[str, ...]
    endpoints: tuple[str, ...]
    size: int
    has_secrets: bool


def export_archive(
    context: WorkspaceContext,
    path: Path,
    *,
    models: Sequence[str] | None = None,
    environments: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    endpoints: Sequence[str] | None = None,
    passphrase: str | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
    cancel: Event | None = None,
) -> Exported:
    """Write registered items and the specs of endpoints into one file that only its owner can read.

    Parameters:
        context: the workspace.
        path: the file.
        models, environments, datasets, endpoints: names, or ids such as ``ridge:3``. If none of the four is given,
            everything is exported; otherwise those that are given. The models of exported endpoints are always in it.
        passphrase: export secrets too, encrypted with it: keyvault, keys of endpoints, passwords of base images and the
            values of environment variables. By default they are left out.
        overwrite: replace a file.
        on_progress: gets the state after each piece.
        cancel: an event that cancels the export.

    Raises:
        ArchiveError: an item does not exist, or the file cannot be written.
        StorageFullError: the disk is full; there is no file then.
        PassphraseError: the passphrase is too short.
        TransferCancelledError: it was cancelled; there is no file then.

    """
    tracker = Tracker(on_progress, cancel)
    wanted = {"models": models, "environments": environments, "datasets": datasets, "endpoints": endpoints}
    if any(value is not None for value in wanted.values()):
        wanted = {kind: value if value is not None else () for kind, value in wanted.items()}
    records = _endpoints(context, wanted["endpoints"])
    with context.artifacts.hold():
        rows = _rows(context, wanted, records)
        secrets = None
        if passphrase is not None:
            secrets = encrypted(_secrets(context, rows["environments"], records), passphrase)
        files = _files_of(context, rows["datasets"])
        digests = [
            *(row["artifact_digest"] for row in rows["models"]),
            *(row["digest"] for row in files),
            *_build_contexts(rows["environments"]),
            *_digests_of(record.spec for record in records),
        ]
        with written(path, tracker, overwrite=overwrite) as writer:
            size = _add_content(writer, context.artifacts, digests, tracker)
            if secrets is not None:
                writer.add_bytes(SECRETS, secrets)
            writer.finish(
                {
                    **header(context, "export"),
                    "models": [document_of(row) for row in rows["models"]],
                    "environments": [document_of(row, without=_SECRET_COLUMNS) for row in rows["environments"]],
                    "labels": [document_of(row) for row in rows["labels"]],
                    "datasets": [document_of(row) for row in rows["datasets"]],
                    "datastoreFiles": [document_of(row) for row in files],
                    "endpoints": [without_variables(record.spec).document() for record in records],
                    "variables": variable_names(record.spec for record in records),
                }
            )
    return Exported(
        path,
        models=_ids(rows["models"]),
        environments=_ids(rows["environments"]),
        datasets=_ids(rows["datasets"]),
        endpoints=tuple(record.spec.name for record in records),
        size=size,
        has_secrets=secrets is not None,
    )


def header(context: WorkspaceContext, kind: str) -> dict[str, Any]:
    """Return the part of a manifest that says what the archive is, and where it comes from."""
    return {
        "kind": kind,
        "workspace": context.name,
        "created": datetime.now(UTC).isoformat(),
        "createdBy": user_name(),
        "release": mljupyter.__version__,
    }


def entry_of(part: Part) -> str:
    """Return the name of the entry that has a blob."""
    return f"{CONTENT}/{part.folder}/{part.hexadecimal}"


def without_variables(spec: EndpointSpec) -> EndpointSpec:
    """Return a spec without the environment variables of its versions, whose values may be secrets."""
    versions = {
        name: version.model_copy(update={"environment_variables": {}}) for name, version in spec.versions.items()
    }
    return spec.model_copy(update={"versions": versions})


def variable_names(specs: Iterable[EndpointSpec]) -> dict[str, dict[str, list[str]]]:
    """Return the names of environment variables by endpoint and version."""
    return {
        spec.name: {
            name: sorted(version.environment_variables)
            for name, version in spec.versions.items()
            if version.environment_variables
        }
        for spec in specs
    }


def _endpoints(context: WorkspaceContext, wanted: Sequence[str] | None) -> list[EndpointRecord]:
    if wanted is not None and not wanted:
        return []
    present = {record.spec.name: record for record in context.endpoints.endpoints()}
    return [present[name] for name in _chosen("endpoint", wanted, sorted(present))]


def _rows(
    context: WorkspaceContext, wanted: Mapping[str, Sequence[str] | None], records: Sequence[EndpointRecord]
) -> dict[str, list[dict[str, Any]]]:
    _ = context.tracking  # its tables are created when they are first used
    tables = {"models": MODELS, "environments": ENVIRONMENTS, "datasets": DATASETS}
    found: dict[str, list[dict[str, Any]]] = {}
    with reading(context.registry.engine) as connection:
        for kind, table in tables.items():
            rows = connection.execute(select(table).order_by(table.c.name, table.c.version)).all()
            by_id = {f"{row.name}:{row.version}": dict(row._mapping) for row in rows}
            ids = _chosen(kind.removesuffix("s"), wanted[kind], list(by_id))
            if kind == "models":
                needed = set(ids).union(*(registered(record.spec) for record in records))
                ids = [one for one in by_id if one in needed]
            found[kind] = [by_id[one] for one in ids]
        names = {(row["name"], row["version"]) for row in found["environments"]}
        labels = [dict(row._mapping) for row in connection.execute(select(ENVIRONMENT_LABELS))]
        found["labels"] = [label for label in labels if (label["name"], label["version"]) in names]
    return found


def _ids(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(f"{row['name']}:{row['version']}" for row in rows)


def _chosen(kind: str, wanted: Sequence[str] | None, present: Sequence[str]) -> list[str]:
    try:
        return chosen(kind, wanted, present)
    except LookupError as error:
        raise ArchiveError(str(error.args[0])) from None


def _files_of(context: WorkspaceContext, datasets: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of files that datasets have in the workspace's own datastores."""
    own = {store.name for store in context.tracking.datastores.list() if store.kind == OWN}
    paths: set[tuple[str, str]] = set()
    for row in datasets:
        for source in row["definition"].get("sources", ()):
            if (store := source.get("datastore")) in own:
                listed = context.tracking.datastores.files(store).list(str(source["path"]).strip("/"))
                paths |= {(store, path) for path in listed}
    if not paths:
        return []
    with reading(context.registry.engine) as connection:
        rows = [dict(row._mapping) for row in connection.execute(select(DATASTORE_FILES))]
    return [row for row in rows if (row["datastore"], row["path"]) in paths]


def _build_contexts(environments: Iterable[Mapping[str, Any]]) -> set[str]:
    contexts = [(row["definition"].get("docker") or {}).get("buildContext") or {} for row in environments]
    places = {str(context.get("location")) for context in contexts}
    return {place for place in places if place.startswith("sha256:")}


def _digests_of(specs: Iterable[EndpointSpec]) -> set[str]:
    found = set()
    for spec in specs:
        for version in spec.versions.values():
            found |= {model.digest for model in version.models}
            if version.code is not None:
                found.add(version.code.digest)
    return found


def _add_content(writer: ArchiveWriter, store: ArtifactStore, digests: Iterable[str], tracker: Tracker) -> int:
    parts = {part: None for digest in dict.fromkeys(digests) for part in store.parts(digest)}
    return add_parts(writer, store, list(parts), tracker)


def add_parts(writer: ArchiveWriter, store: ArtifactStore, parts: Sequence[Part], tracker: Tracker) -> int:
    """Add blobs to an archive after checking their digests. Return their size.

    Raises:
        ArchiveError: the content of one is damaged in the store.

    """
    total = sum(part.size for part in parts)
    tracker.start("Writing", total)
    for part in parts:
        tracker.check()
        with store.opened(part) as source:
            hexadecimal, _ = writer.add(entry_of(part), source)
        if hexadecimal != part.hexadecimal:
            raise ArchiveError(
                f"Artifact sha256:{part.hexadecimal} is damaged in {store.location}: it has digest "
                f"sha256:{hexadecimal}.\nRegister its source again: this replaces the damaged content."
            )
    return total


def _secrets(
    context: WorkspaceContext, environments: Iterable[Mapping[str, Any]], records: Sequence[EndpointRecord]
) -> dict[str, Any]:
    vault = Vault(context.directory, context.document.id)
    return {
        "keyvault": vault.get(vault.names()),
        "passwords": {f"{row['name']}:{row['version']}": row["password"] for row in environments if row["password"]},
        "keys": {
            record.spec.name: list(context.endpoints.keys(record.spec.name))
            for record in records
            if record.spec.authentication == "key"
        },
        "variables": {
            record.spec.name: {name: version.environment_variables for name, version in record.spec.versions.items()}
            for record in records
        },
    }
