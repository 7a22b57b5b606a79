"""The base of the deploy wizard's pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mljupyter.notebook.options.command_line import values_of
from mljupyter.notebook.options.deployment_options import DEPLOYMENT_OPTIONS
from mljupyter.notebook.session import Session
from mljupyter.spec import EndpointRecord
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Field
from mljupyter.widgets.wizard import Page

OPTIONS = {option.key: option for option in DEPLOYMENT_OPTIONS}


@dataclass
class Draft:
    """A deployment while it is being described.

    Parameters:
        session: knows the workspace.
        namespace: the user's variables.
        typed: what was typed, by option of `DEPLOYMENT_OPTIONS`.
        project: options for which the project has another default: the line says them in any case.

    """

    session: Session
    namespace: Mapping[str, Any]
    typed: dict[str, Any] = field(default_factory=dict)
    project: frozenset[str] = frozenset()

    def errors(self, keys: Iterable[str]) -> dict[str, str]:
        """Return what is wrong with some of the options."""
        return values_of([OPTIONS[key] for key in keys], self.typed)[1]

    def endpoint(self) -> EndpointRecord | None:
        """Return the endpoint of the name typed, if there is one already."""
        name = str(self.typed.get("name", "")).strip()
        return next(
            (record for record in self.session.workspace().endpoint_records() if record.spec.name == name), None
        )


class DraftPage(Page):
    """A page that asks for some of the options.

    Attributes:
        asks: the options, by key.

    """

    asks: tuple[str, ...] = ()

    def __init__(self, draft: Draft) -> None:
        self.draft = draft

    def change(self, key: str, value: Any) -> None:
        """Keep what was typed, as it was typed."""
        self.draft.typed[key] = value

    def errors(self) -> dict[str, str]:
        """Return what breaks an option's rule."""
        return self.draft.errors(self.asks)

    def field(self, key: str, label: str = "") -> Field:
        """Return the field of an option."""
        return fields.of_option(OPTIONS[key], self.draft.typed.get(key), label)
