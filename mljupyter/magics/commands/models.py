"""``%models``: list the registered models and their users."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mljupyter.core import Model, Workspace
from mljupyter.core.display import date_text
from mljupyter.deploy.leftovers import users_of_model
from mljupyter.engine.endpoints.model_users import users_of_models
from mljupyter.errors import MLJupyterError
from mljupyter.magics.commands.dry_run import NOTHING_DONE
from mljupyter.magics.magic import Call, json_line
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.sources.inference import unknown_model
from mljupyter.notebook.views.views import Table
from mljupyter.sizes import readable_size

COLUMNS = ("Name", "Versions", "Framework", "Tags", "Used by", "Size", "Created")
VERSION_COLUMNS = ("Version", "Framework", "Tags", "Properties", "Used by", "Size", "Created")
EMPTY = (
    "No models yet. %deploy NAME ESTIMATOR registers a fitted estimator and deploys it, such as %deploy diabetes "
    "ridge. A file: %mlj register PATH NAME"
)
_MOST_VERSIONS = 5
_DELETE = "delete"


class ModelUsedError(MLJupyterError):
    """A model is in use by an endpoint."""


class ModelMissingError(MLJupyterError):
    """No model has this name."""


def run(call: Call) -> Any:
    """Return the models, or the versions of one, as a table; its items are the full data, one dict for each version."""
    workspace = call.session.workspace()
    words = call["names"]
    if words and words[0] == _DELETE and (len(words) > 1 or not Model.list(workspace, name=_DELETE)):
        return _delete(call, workspace, words[1:])
    if len(words) > 1:
        raise WrongInputError(f"{words[1]!r} is one value too many: only NAME[:VERSION], or delete with several.")
    asked = words[0] if words else ""
    name, _, version = asked.partition(":")
    found = [
        model for model in Model.list(workspace, name=name or None) if not version or str(model.version) == version
    ]
    if name and not found:
        raise ModelMissingError(unknown_model(workspace, asked))
    users = users_of_models(workspace.endpoint_records())
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


def _delete(call: Call, workspace: Workspace, words: list[str]) -> Any:
    """Delete models, or say what would be deleted; nothing is deleted if one of them is in use."""
    if not words:
        raise WrongInputError("%models delete needs the models: NAME:VERSION, or NAME with --all-versions.")
    chosen: dict[str, Model] = {}
    for word in words:
        chosen |= {model.id: model for model in _meant(workspace, word, every=call["all_versions"])}
    users = {one: names for one, names in users_of_models(workspace.endpoint_records()).items() if one in chosen}
    others = {one: users_of_model(workspace.context, one) for one in chosen if one not in users}
    users |= {one: names for one, names in others.items() if names}
    if users and call["dry_run"]:
        return _say_what_would_be(call, sorted(chosen), users)
    if users:
        said = "; ".join(f"{one} by {', '.join(names)}" for one, names in sorted(users.items()))
        raise ModelUsedError(
            f"In use: {said}. Nothing was deleted.\nDeploy other models there, or delete those first: {_way_out(users)}"
        )
    ids = sorted(chosen)
    if call["dry_run"]:
        return _say_what_would_be(call, ids, users)
    for one in ids:
        chosen[one].delete()
    call.session.cache.refresh_soon()
    if call["json"]:
        print(json_line({"deleted": ids, "models": ids}))
    else:
        call.say(f"{', '.join(ids)}: deleted")
    return None


def _say_what_would_be(call: Call, ids: list[str], users: Mapping[str, list[str]]) -> None:
    """Say for a dry run which models would be deleted, and which are in use, so that none would be."""
    if call["json"]:
        print(json_line({"deleted": [], "models": ids, "usedBy": dict(users)}))
        return
    free = [one for one in ids if one not in users]
    for one, names in sorted(users.items()):
        call.say(f"{one}: in use by {', '.join(names)} {NOTHING_DONE}")
    if free:
        call.say(f"{', '.join(free)}: {'not in use' if users else 'would be deleted'} {NOTHING_DONE}")


def _way_out(users: Mapping[str, list[str]]) -> str:
    """Return the command that deletes the first user of a model: an image, or an endpoint."""
    user = sorted(users.items())[0][1][0]
    return f"mljupyter image delete {user.split()[1]}" if user.startswith("image ") else f"%undeploy {user}"


def _meant(workspace: Workspace, word: str, *, every: bool) -> list[Model]:
    """Return the models for ``NAME:VERSION`` or, with `every`, for ``NAME``.

    Raises:
        ModelMissingError: there is none.
        WrongInputError: a name has several versions, and `every` is not set.

    """
    name, _, version = word.partition(":")
    there = Model.list(workspace, name=name)
    found = [model for model in there if not version or str(model.version) == version]
    if not found:
        raise ModelMissingError(f"{unknown_model(workspace, word)} Nothing was deleted.")
    if not version and not every and len(found) > 1:
        versions = ", ".join(sorted((str(model.version) for model in found), key=int))
        raise WrongInputError(
            f"{name!r} has the versions {versions}: name one, {name}:{found[0].version}, or add --all-versions."
        )
    return found


def _row(versions: list[Model], users: Mapping[str, list[str]]) -> list[str]:
    newest = versions[0]
    used = [f"{user} ({model.version})" for model in versions for user in users.get(model.id, [])]
    return [
        newest.name,
        _listed([str(model.version) for model in versions]),
        newest.record.shown_framework,
        _pairs(newest.tags),
        ", ".join(used),
        *_size_and_date(newest),
    ]


def _version_row(model: Model, users: Mapping[str, list[str]]) -> list[str]:
    used = ", ".join(users.get(model.id, []))
    pairs = _pairs(model.tags), _pairs(model.properties)
    return [str(model.version), model.record.shown_framework, *pairs, used, *_size_and_date(model)]


def _size_and_date(model: Model) -> list[str]:
    return [readable_size(model.record.artifact.size), date_text(model.created_time)]


def _listed(versions: list[str]) -> str:
    more = len(versions) - _MOST_VERSIONS
    return ", ".join(versions[:_MOST_VERSIONS]) + (f" and {more} more" if more > 0 else "")


def _pairs(pairs: Mapping[str, str]) -> str:
    items: Iterable[tuple[str, str]] = sorted(pairs.items())
    return ", ".join(f"{key}={value}" for key, value in items)
