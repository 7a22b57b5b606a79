"""``%mlj register``: register a file or a directory as the next version of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.exceptions import as_webservice_exception
from mljupyter.files import expanded
from mljupyter.magics.magic import Call, json_line
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.session import Session
from mljupyter.notebook.views.views import Outcome


def run(call: Call) -> Any:
    """Register the file or directory."""
    path = expanded(call["path"])
    if not path.exists():
        raise WrongInputError(
            f"There is no file or directory {call['path']!r}. To register a fitted variable, open the form: "
            "%mlj register"
        )
    workspace = call.session.workspace()
    with as_webservice_exception():
        record = workspace.registry.models.register(
            call["model"],
            path,
            framework=call["framework"],
            tags=_tags(call["tag"]),
            description=call["description"],
        )
    call.session.cache.refresh_soon()
    model = workspace.models[record.name]
    if call["json"]:
        print(json_line(model.serialize()))
        return call.deliver(model) if call["output"] else None
    if call["output"]:
        return call.deliver(model)
    return Outcome("ok", record.id, "registered")


def _tags(words: list[str]) -> dict[str, str]:
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise WrongInputError(f"--tag {word}: a tag is KEY=VALUE, for example --tag area=demo")
        found[key] = value
    return found


def wizard(session: Session, namespace: Mapping[str, Any]) -> Any:
    """Return the form that registers a model."""
    from mljupyter.widgets.wizards.register_wizard import RegisterWizard  # slow import; only if a widget is shown

    return RegisterWizard(session, namespace)
