"""Base class of the deploy wizard's pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mljupyter.notebook.fitted import EstimatorsElsewhere
from mljupyter.notebook.option_problems import setting_problems
from mljupyter.notebook.options.command_line import values_of
from mljupyter.notebook.options.deployment_options import DEPLOYMENT_OPTIONS
from mljupyter.notebook.session import Session
from mljupyter.spec import EndpointKind, EndpointRecord
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Field
from mljupyter.widgets.wizard import Page

OPTIONS = {option.key: option for option in DEPLOYMENT_OPTIONS}


@dataclass
class Draft:
    """The input of the deploy wizard so far.

    Parameters:
        session: has the workspace.
        namespace: the user's variables.
        typed: the input, by option of `DEPLOYMENT_OPTIONS`.
        project: options with a default of the project: they are always on the line.
        elsewhere: the estimators in kernels of notebooks, for a wizard that has no kernel itself.

    """

    session: Session
    namespace: Mapping[str, Any]
    typed: dict[str, Any] = field(default_factory=dict)
    project: frozenset[str] = frozenset()
    elsewhere: EstimatorsElsewhere = field(default_factory=EstimatorsElsewhere)

    @property
    def lives_in(self) -> str:
        """The notebook whose kernel has the chosen estimator; empty if this process has it, or none is chosen."""
        found = self.elsewhere.found.get(str(self.typed.get("estimator") or ""))
        return found.place if found is not None else ""

    @property
    def lost(self) -> str:
        """What to do about a chosen estimator that its kernel does not have any more; empty for every other choice."""
        name = str(self.typed.get("estimator") or "")
        gone = self.elsewhere.lost.get(name)
        if gone is None:
            return ""
        return (
            f"The kernel of {gone.place} does not have {name!r} any more, such as after its end or a restart: "
            "run the cell that fits it again, or choose another model."
        )

    @property
    def is_elsewhere(self) -> bool:
        """Whether the chosen estimator is, or was, in the kernel of a notebook, and this process does not have it."""
        return bool(self.lives_in or self.lost)

    @property
    def told(self) -> frozenset[str]:
        """The options that were typed; for the others, an existing endpoint keeps its settings."""
        return frozenset(key for key, value in self.typed.items() if value not in (None, "", []))

    @property
    def explicit(self) -> frozenset[str]:
        """The options that stay on the line even as defaults: of the project, or unlike the endpoint that exists."""
        present = self.endpoint()
        if present is None:
            return self.project
        now = {"to": present.spec.compute_target, "kind": kind_of(present)}
        return self.project | {key for key in self.told & now.keys() if self.typed[key] != now[key]}

    def errors(self, keys: Iterable[str], settings: Iterable[str] = ()) -> dict[str, str]:
        """Return the errors of some of the options.

        Parameters:
            keys: the options.
            settings: those of them that are settings of the web service, whose rules are checked too.

        """
        _, wrong = values_of([OPTIONS[key] for key in keys], self.typed)
        values, _ = values_of(DEPLOYMENT_OPTIONS, self.typed)
        return {**setting_problems(values, settings), **wrong}

    def endpoint(self) -> EndpointRecord | None:
        """Return the existing endpoint of this name, if there is one."""
        name, workspace = str(self.typed.get("name", "")).strip(), self.session.existing()
        records = [] if workspace is None else workspace.endpoint_records()
        return next((record for record in records if record.spec.name == name), None)


def kind_of(record: EndpointRecord) -> str:
    """Return the kind of an endpoint as an option of `%deploy`."""
    return "aks" if record.spec.kind is EndpointKind.AKS_ENDPOINT else str(record.spec.kind).lower()


class DraftPage(Page):
    """A page for some of the options.

    Attributes:
        asks: the options, by key.
        settings: those that are settings of the web service, and are checked one by one.

    """

    asks: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()

    def __init__(self, draft: Draft) -> None:
        self.draft = draft

    def change(self, key: str, value: Any) -> None:
        """Store the input unchanged."""
        self.draft.typed[key] = value

    def errors(self) -> dict[str, str]:
        """Return the errors of the options."""
        return self.draft.errors(self.asks, self.settings)

    def field(self, key: str, label: str = "") -> Field:
        """Return the field of an option."""
        return fields.of_option(OPTIONS[key], self.draft.typed.get(key), label)
