"""``%models``: list the registered models and their users."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mljupyter.core import Model, Workspace
from mljupyter.core.display import date_text
from mljupyter.errors import MLJupyterError
from mljupyter.magics.magic import Call, json_line
from mljupyter.notebook.options.option_values import near
from mljupyter.notebook.views.views import Table
from mljupyter.sizes import readable_size

COLUMNS = ("Name", "Versions", "Framework", "Tags", "Used by", "Size", "Created")
VERSION_COLUMNS = ("Version", "Framework", "Tags", "Properties", "Used by", "Size", "Created")
EMPTY = "No models yet. Register one with Model.register(ws, PATH, NAME), or %deploy NAME ESTIMATOR"
_MOST_VERSIONS = 5


class ModelMissingError(MLJupyterError):
    """No model has this name."""


def run(call: Call) -> Any:
    """Return the models, or the versions of one, as a table; its items are the full data, one dict for each version."""
    workspace = call.session.workspace()
    name, _, version = (call["name"] or "").partition(":")
    found = [
        model for model in Model.list(workspace, name=name or None) if not version or str(model.version) == version
    ]
    if name and not found:
        known = {model.name for model in Model.list(workspace)}
        hint = f" Its versions: %models {name}" if name in known else near(name, known)
        raise ModelMissingError(f"There is no registered model {call['name']!r} in this workspace.{hint}")
    users = used_by(workspace)
    documents = [{**model.serialize(), "usedBy": users.get(model.id, [])} for model in found]
    call.session.cache.refresh_soon()
    if call["json"]:
        print(json_line(documents))
        return call.deliver(documents) if call["output"] else None
    if name:
        return call.deliver(Table(VERSION_COLUMNS, [_version_row(model, users) for model in found], documents, EMPTY))
    newest = {document["name"]: document for document in reversed(documents)}
    rows = [_row([model for model in found if model.name == each], users) for each in sorted(newest)]
    return call.deliver(Table(COLUMNS, rows, [newest[each] for each in sorted(newest)], EMPTY))


def used_by(workspace: Workspace) -> dict[str, list[str]]:
    """Return the users of each model, by its id: endpoints, with the version where there are several."""
    found: dict[str, list[str]] = {}
    for record in sorted(workspace.endpoint_records(), key=lambda record: record.spec.name):
        for version, spec in record.spec.versions.items():
            user = record.spec.name if len(record.spec.versions) == 1 else f"{record.spec.name}:{version}"
            for model in spec.models:
                found.setdefault(model.id, []).append(user)
    return found


def _row(versions: list[Model], users: Mapping[str, list[str]]) -> list[str]:
    newest = versions[0]
    used = [f"{user} ({model.version})" for model in versions for user in users.get(model.id, [])]
    return [
        newest.name,
        _listed([str(model.version) for model in versions]),
        _framework(newest),
        _pairs(newest.tags),
        ", ".join(used),
        *_size_and_date(newest),
    ]


def _version_row(model: Model, users: Mapping[str, list[str]]) -> list[str]:
    used = ", ".join(users.get(model.id, []))
    pairs = _pairs(model.tags), _pairs(model.properties)
    return [str(model.version), _framework(model), *pairs, used, *_size_and_date(model)]


def _size_and_date(model: Model) -> list[str]:
    return [readable_size(model.record.artifact.size), date_text(model.created_time)]


def _listed(versions: list[str]) -> str:
    more = len(versions) - _MOST_VERSIONS
    return ", ".join(versions[:_MOST_VERSIONS]) + (f" and {more} more" if more > 0 else "")


def _framework(model: Model) -> str:
    return " ".join(filter(None, (model.model_framework, model.model_framework_version)))


def _pairs(pairs: Mapping[str, str]) -> str:
    items: Iterable[tuple[str, str]] = sorted(pairs.items())
    return ", ".join(f"{key}={value}" for key, value in items)
