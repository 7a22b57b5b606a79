"""Import: the items of an archive become items of a workspace; all of them, or none after an error."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from sqlalchemy import Table, insert, select, update
from sqlalchemy.engine import Connection

from mljupyter.client.base import KeyName
from mljupyter.client.errors import PortInUseError
from mljupyter.deploy.apply import apply_specification
from mljupyter.errors import MLJupyterError
from mljupyter.registry.artifacts import manifest as lists
from mljupyter.registry.artifacts.content import Readable
from mljupyter.registry.artifacts.store import DIRECTORIES, FILES, Part
from mljupyter.registry.catalog.changes import record_change
from mljupyter.registry.catalog.environment_tables import ENVIRONMENT_LABELS, ENVIRONMENTS
from mljupyter.registry.catalog.environments import ENVIRONMENT
from mljupyter.registry.catalog.tables import MODEL_COUNTERS, MODELS
from mljupyter.registry.catalog.transactions import writing
from mljupyter.registry.errors import storage_full
from mljupyter.spec import EndpointSpec
from mljupyter.spec.names import MODEL, NameRule
from mljupyter.spec.version import is_one_name
from mljupyter.tracking.datasets import DATASET
from mljupyter.tracking.datastores import OWN
from mljupyter.tracking.paths import checked_path
from mljupyter.tracking.tables import DATASET_COUNTERS, DATASETS, DATASTORE_FILES
from mljupyter.transfer.container import ArchiveReader, refused
from mljupyter.transfer.encryption import decrypted
from mljupyter.transfer.errors import ArchiveError, ImportConflictError
from mljupyter.transfer.exporting import CONTENT, SECRETS
from mljupyter.transfer.progress import OnProgress, Tracker
from mljupyter.transfer.rows import values_of
from mljupyter.transfer.selection import Action, Decision, decided
from mljupyter.workspace.context import WorkspaceContext
from mljupyter.workspace.vault import Vault

_MOST_SHOWN = 10


@dataclass(frozen=True)
class Imported:
    """The result of an import.

    Parameters:
        added: the ids and names that are new in the workspace, by kind.
        kept: the ids that were there already with the same content, by kind.
        renumbered: new ids by the ids in the archive, by kind.
        endpoints: the names of deployed endpoints.
        other_ports: those of them that have another port than in the archive, which is in use on this machine.
        waiting: the names of endpoints in the archive that were not deployed.
        without_secrets: what was left out because the archive has no secrets, or no passphrase was given.

    """

    added: Mapping[str, Sequence[str]]
    kept: Mapping[str, Sequence[str]]
    renumbered: Mapping[str, Mapping[str, str]]
    endpoints: Sequence[str]
    other_ports: Sequence[str]
    waiting: Sequence[str]
    without_secrets: Sequence[str]


def import_archive(
    context: WorkspaceContext,
    path: Path,
    *,
    deploy: bool = False,
    renumber: bool = False,
    passphrase: str | None = None,
    on_progress: OnProgress | None = None,
    cancel: Event | None = None,
) -> Imported:
    """Add the items of an archive to a workspace under their names and versions.

    An item that is there with the same content is kept. Secrets that are there are kept, too.

    Parameters:
        context: the workspace.
        path: an archive of `export_archive`.
        deploy: also deploy its endpoints that do not exist here, on their compute targets; return at once.
        renumber: register an item whose number is taken by another one as the next version.
        passphrase: that of the archive's secrets. Without it they are left out.
        on_progress: gets the state after each piece.
        cancel: an event that cancels the import.

    Raises:
        ArchiveError: the archive is damaged, none of mljupyter's, or made to do harm.
        ImportConflictError: numbers are taken by other items, and `renumber` is not set.
        PassphraseError: the passphrase is wrong.
        StorageFullError: no space is left.
        TransferCancelledError: it was cancelled.

    After an error nothing was imported, except by a failed deployment.

    """
    tracker = Tracker(on_progress, cancel)
    with ArchiveReader(path, "export") as archive:
        secrets = _secrets(archive, passphrase)
        items = _Items.of(archive)
        parts = checked_parts(archive, items.digests)
        _check_space(context, parts)
        own = {store.name for store in context.tracking.datastores.list() if store.kind == OWN}
        if foreign := sorted({row["datastore"] for row in items.files} - own):
            raise refused(path, f"it has files of the datastore {foreign[0]!r:.200}, not a workspace's own")
        with context.artifacts.hold():
            tracker.start("Copying", sum(part.size for part in parts))
            context.artifacts.add_parts((part, partial(_opened, archive, part, tracker)) for part in parts)
            with writing(context.registry.engine) as connection:
                decisions = _import_rows(connection, items, secrets, path, renumber=renumber)
        _import_secrets(context, secrets)
        ids = {one.id: one.new_id for one in decisions["model"]}
        deployed, other_ports, waiting = [], [], []
        present = {record.spec.name for record in context.endpoints.endpoints()} if items.endpoints else set()
        for spec in items.endpoints:
            if deploy and spec.name not in present:
                port = _deploy(context, _here(spec, ids, secrets), secrets)
                deployed.append(spec.name)
                other_ports += [spec.name] if port != spec.port else []
            else:
                waiting.append(spec.name)
        return Imported(
            added=_listed(decisions, Action.ADD),
            kept=_listed(decisions, Action.KEEP),
            renumbered={
                kind: {one.id: one.new_id for one in found if one.new_id != one.id}
                for kind, found in decisions.items()
                if any(one.new_id != one.id for one in found)
            },
            endpoints=deployed,
            other_ports=other_ports,
            waiting=waiting,
            without_secrets=[] if passphrase is not None else _left_out(archive),
        )


def checked_parts(archive: ArchiveReader, digests: Sequence[str]) -> list[Part]:
    """Return the blobs of an archive, after checking that it has those of all digests and that lists can be used.

    Raises:
        ArchiveError: content is missing, or a list of files leads out of its directory.

    """
    parts = []
    for name in archive.entries:
        top, _, rest = name.partition("/")
        folder, _, hexadecimal = rest.partition("/")
        if top != CONTENT:
            continue
        if folder not in (FILES, DIRECTORIES) or archive.entries[name]["sha256"] != hexadecimal:
            raise refused(archive.path, f"the entry {name!r:.200} does not have the name of its content")
        parts.append(Part(folder, hexadecimal, archive.size(name)))
    files = {part.hexadecimal for part in parts if part.folder == FILES}
    directories = {part.hexadecimal for part in parts if part.folder == DIRECTORIES}
    for hexadecimal in directories:
        content = archive.read(f"{CONTENT}/{DIRECTORIES}/{hexadecimal}", lists.MOST_MANIFEST_BYTES)
        entries = lists.decode(content, f"sha256:{hexadecimal}")
        if missing := [one.path for one in entries if one.digest and one.digest[7:] not in files]:
            raise refused(archive.path, f"it lacks the content of {missing[0]!r:.200}")
    if absent := [digest for digest in digests if digest[7:] not in files | directories]:
        raise refused(archive.path, f"it lacks the content {absent[0]}")
    # Lists of files come last, so that a directory never is there without its files.
    return sorted(parts, key=lambda part: (part.folder == DIRECTORIES, part.hexadecimal))


@dataclass(frozen=True)
class _Items:
    """The items of an archive, with values that a database takes and names that may be paths."""

    models: list[dict[str, Any]]
    environments: list[dict[str, Any]]
    labels: list[dict[str, Any]]
    datasets: list[dict[str, Any]]
    files: list[dict[str, Any]]
    endpoints: list[EndpointSpec]

    @classmethod
    def of(cls, archive: ArchiveReader) -> _Items:
        manifest = archive.manifest
        try:
            items = cls(
                [_named(values_of(MODELS, row), MODEL) for row in _list(manifest, "models")],
                [_named(values_of(ENVIRONMENTS, row), ENVIRONMENT) for row in _list(manifest, "environments")],
                [values_of(ENVIRONMENT_LABELS, row) for row in _list(manifest, "labels")],
                [values_of(DATASETS, row) for row in _list(manifest, "datasets")],
                [values_of(DATASTORE_FILES, row) for row in _list(manifest, "datastoreFiles")],
                [EndpointSpec.parse(document) for document in _list(manifest, "endpoints")],
            )
            for row in items.datasets:
                DATASET.check(row["name"])
            for row in items.files:
                if checked_path(row["path"]) != row["path"]:
                    raise ValueError(f"{row['path']!r:.200} is no path")
            for row in items.models:
                if not is_one_name(row["artifact_name"]):
                    raise ValueError(f"the content of model {row['id']} has the name {row['artifact_name']!r:.200}")
        except (ValueError, MLJupyterError) as error:
            raise refused(archive.path, f"its manifest cannot be used ({str(error)[:300]})") from error
        return items

    @property
    def digests(self) -> list[str]:
        """The digests of all content that the items need."""
        found = [row["artifact_digest"] for row in self.models] + [row["digest"] for row in self.files]
        for spec in self.endpoints:
            for version in spec.versions.values():
                found += [model.digest for model in version.models]
                found += [version.code.digest] if version.code is not None else []
        return found


def _list(manifest: Mapping[str, Any], key: str) -> list[Any]:
    value = manifest.get(key)
    if not isinstance(value, list):
        raise ValueError(f"{key} is no list")
    return value


def _named(row: dict[str, Any], rule: NameRule) -> dict[str, Any]:
    rule.check(row["name"])
    if row["id"] != f"{row['name']}:{row['version']}" or row["version"] < 1:
        raise ValueError(f"{row['id']!r:.200} is no id of {row['name']}")
    return row


def _import_rows(
    connection: Connection, items: _Items, secrets: Mapping[str, Any], path: Path, *, renumber: bool
) -> dict[str, list[Decision]]:
    """Add the rows in one transaction, which ends without a change if there is a conflict."""
    decisions = {
        "model": _decide(connection, MODELS, items.models, _model_content, renumber, MODEL_COUNTERS),
        "environment": _decide(connection, ENVIRONMENTS, items.environments, _definition, renumber, None),
        "dataset": _decide(connection, DATASETS, items.datasets, _definition, renumber, DATASET_COUNTERS),
    }
    conflicts = [
        f"{kind} {one.id}" for kind, found in decisions.items() for one in found if one.action is Action.CONFLICT
    ]
    conflicts += _taken_files(connection, items.files)
    if conflicts:
        more = f" and {len(conflicts) - _MOST_SHOWN} more" if len(conflicts) > _MOST_SHOWN else ""
        raise ImportConflictError(
            f"Other content is or was registered under {', '.join(conflicts[:_MOST_SHOWN])}{more}. Nothing was "
            "imported.\nTo register the archive's as next versions: --renumber (renumber=True)."
        )
    passwords = secrets.get("passwords", {})
    for row in items.environments:
        row["password"] = passwords.get(row["id"])
    _add(connection, "model", MODELS, items.models, decisions["model"], path, MODEL_COUNTERS)
    _add(connection, "environment", ENVIRONMENTS, items.environments, decisions["environment"], path, None)
    _add(connection, "dataset", DATASETS, items.datasets, decisions["dataset"], path, DATASET_COUNTERS)
    _add_labels(connection, items.labels, decisions["environment"])
    present = {(row.datastore, row.path) for row in connection.execute(select(DATASTORE_FILES))}
    for row in items.files:
        if (row["datastore"], row["path"]) not in present:
            connection.execute(insert(DATASTORE_FILES).values(row))
    return decisions


def _decide(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    content: Any,
    renumber: bool,
    counters: Table | None,
) -> list[Decision]:
    names = {row["name"] for row in rows}
    found = [row._mapping for row in connection.execute(select(table).where(table.c.name.in_(names)))]
    used: dict[str, int] = {}
    for row in found:
        used[row["name"]] = max(used.get(row["name"], 0), row["version"])
    if counters is not None:
        for counter in connection.execute(select(counters).where(counters.c.name.in_(names)).with_for_update()):
            used[counter.name] = max(used.get(counter.name, 0), counter.last_version)
    return decided(
        {(row["name"], row["version"]): content(row) for row in rows},
        {(row["name"], row["version"]): content(row) for row in found},
        used,
        renumber=renumber,
    )


def _model_content(row: Mapping[str, Any]) -> Any:
    return row["artifact_digest"], row["artifact_name"]


def _definition(row: Mapping[str, Any]) -> Any:
    return row["definition"]


def _taken_files(connection: Connection, files: Sequence[Mapping[str, Any]]) -> list[str]:
    if not files:
        return []
    present = {(row.datastore, row.path): row.digest for row in connection.execute(select(DATASTORE_FILES))}
    return [
        f"file {row['datastore']}/{row['path']}"
        for row in files
        if present.get((row["datastore"], row["path"]), row["digest"]) != row["digest"]
    ]


def _add(
    connection: Connection,
    kind: str,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    decisions: Sequence[Decision],
    path: Path,
    counters: Table | None,
) -> None:
    by_id = {(row["name"], row["version"]): row for row in rows}
    for one in decisions:
        if one.action not in (Action.ADD, Action.RENUMBER):
            continue
        values = {**by_id[one.name, one.version], "version": one.becomes}
        if table is DATASETS:
            import uuid

            taken = connection.execute(select(table.c.id).where(table.c.id == values["id"])).first()
            values["id"] = str(uuid.uuid4()) if taken else values["id"]
        else:
            values["id"] = one.new_id
        connection.execute(insert(table).values(values))
        if counters is not None:
            _raise_counter(connection, counters, one.name, one.becomes)
        details = [f"from {path.name}, created by {values['created_by']}"]
        if one.action is Action.RENUMBER:
            details.append(f"was {one.id}")
        record_change(connection, kind, one.new_id, "imported", details)


def _raise_counter(connection: Connection, counters: Table, name: str, version: int) -> None:
    mine = counters.c.name == name
    last = connection.execute(select(counters.c.last_version).where(mine)).scalar()
    if last is None:
        connection.execute(insert(counters).values(name=name, last_version=version))
    elif last < version:
        connection.execute(update(counters).where(mine).values(last_version=version))


def _add_labels(connection: Connection, labels: Sequence[Mapping[str, Any]], decisions: Sequence[Decision]) -> None:
    becomes = {(one.name, one.version): one.becomes for one in decisions}
    present = {(row.name, row.label) for row in connection.execute(select(ENVIRONMENT_LABELS))}
    for label in labels:
        version = becomes.get((label["name"], label["version"]))
        if version is not None and (label["name"], label["label"]) not in present:
            connection.execute(insert(ENVIRONMENT_LABELS).values({**label, "version": version}))


def _deploy(context: WorkspaceContext, spec: EndpointSpec, secrets: Mapping[str, Any]) -> int | None:
    """Deploy an endpoint with its keys. A port of its own that is in use here becomes a free one; return the port."""
    try:
        record = apply_specification(context, spec)
    except PortInUseError:
        record = apply_specification(context, spec.model_copy(update={"port": None}))
    names: tuple[KeyName, KeyName] = ("primary", "secondary")
    for which, key in zip(names, secrets.get("keys", {}).get(spec.name, ()), strict=False):
        context.endpoints.regenerate_key(spec.name, which, str(key))
    return record.spec.port


def _here(spec: EndpointSpec, ids: Mapping[str, str], secrets: Mapping[str, Any]) -> EndpointSpec:
    """Return the spec of an endpoint with the ids of models here, and its variables if there are secrets."""
    variables = secrets.get("variables", {}).get(spec.name, {})
    versions = {}
    for name, version in spec.versions.items():
        models = []
        for model in version.models:
            model_name, _, number = ids.get(model.id, model.id).rpartition(":")
            models.append(model.model_copy(update={"name": model_name, "version": int(number)}))
        interpreter = version.interpreter
        versions[name] = version.model_copy(
            update={
                "models": models,
                "environment_variables": variables.get(name, {}),
                "image_id": None,
                "interpreter": interpreter if interpreter and Path(interpreter).exists() else None,
            }
        )
    return spec.model_copy(update={"versions": versions})


def _secrets(archive: ArchiveReader, passphrase: str | None) -> dict[str, Any]:
    if passphrase is None:
        return {}
    if SECRETS not in archive.entries:
        raise ArchiveError(
            f"{archive.path} has no secrets: leave the passphrase out, or export it again with --with-secrets."
        )
    found = decrypted(archive.read(SECRETS), passphrase)
    if not all(isinstance(found.get(part, {}), dict) for part in ("keyvault", "passwords", "keys", "variables")):
        raise refused(archive.path, "its secrets have another form")
    return found


def _import_secrets(context: WorkspaceContext, secrets: Mapping[str, Any]) -> None:
    if values := {name: value for name, value in secrets.get("keyvault", {}).items() if isinstance(value, str)}:
        vault = Vault(context.directory, context.document.id)
        known = set(vault.names())
        if new := {name: value for name, value in values.items() if name not in known}:
            vault.set(new)


def _left_out(archive: ArchiveReader) -> list[str]:
    named = [
        f"variable {variable} of endpoint {endpoint}, version {version}"
        for endpoint, versions in (archive.manifest.get("variables") or {}).items()
        for version, variables in versions.items()
        for variable in variables
    ]
    return [*named, *(["the archive's encrypted secrets: pass the passphrase"] if SECRETS in archive.entries else [])]


def _listed(decisions: Mapping[str, Sequence[Decision]], action: Action) -> dict[str, list[str]]:
    return {kind: [one.new_id for one in found if one.action is action] for kind, found in decisions.items()}


@contextmanager
def _opened(archive: ArchiveReader, part: Part, tracker: Tracker) -> Iterator[Readable]:
    with archive.opened(f"{CONTENT}/{part.folder}/{part.hexadecimal}") as source:
        yield tracker.counted(source)


def _check_space(context: WorkspaceContext, parts: Sequence[Part]) -> None:
    """Raise `StorageFullError` before the first byte is written if the disk of a local store has too little space."""
    location = Path(context.artifact_location)
    if not location.is_dir():
        return
    needed = sum(part.size for part in parts if context.artifacts.lacks(part))
    free = shutil.disk_usage(location).free
    if needed > free:
        raise storage_full(location, needed, "the content of the archive", f"{free:,} bytes are free")
