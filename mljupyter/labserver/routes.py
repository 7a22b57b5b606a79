"""The routes, by feature: version, modules, workspaces, endpoints and their actions, models, targets."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Any

import mljupyter
from mljupyter.client.errors import ControllerStartError
from mljupyter.core import Model, Workspace
from mljupyter.core.selection import existing_default
from mljupyter.labserver.handler import Handler, RequestError
from mljupyter.labserver.rows import row_of
from mljupyter.widgets.panels.actions import act
from mljupyter.widgets.static_files import module, styles

MODULES = ("comparison", "log", "monitor", "wizard")


class Version(Handler):
    """The version of the package, which the page compares with its own."""

    def read(self, *names: str) -> Any:
        """Return the version."""
        return {"version": mljupyter.__version__}


class Module(Handler):
    """The JavaScript module and the style sheet of a view: those of the widgets in notebooks."""

    def read(self, *names: str) -> Any:
        """Return both as text."""
        (name,) = names
        if name not in MODULES:
            raise RequestError(f"{name!r} is not a module of a view.")
        return {"module": module(name), "styles": styles(name)}


class Workspaces(Handler):
    """The workspaces of this user."""

    def read(self, *names: str) -> Any:
        """Return their names, and the one that notebooks use by default; empty if there is none yet."""
        default = existing_default()
        return {"names": sorted(Workspace.list()), "default": default.name if default is not None else ""}


class Endpoints(Handler):
    """The endpoints of a workspace, for pages without a WebSocket."""

    def read(self, *names: str) -> Any:
        """Return them as the feed does."""
        workspace = self.workspace(names[0])
        return {"whole": True, "rows": [row_of(record) for record in workspace.endpoints.endpoints(start=False)]}


class Endpoint(Handler):
    """One endpoint."""

    def read(self, *names: str) -> Any:
        """Return its whole record, and its history."""
        workspace, name = self.workspace(names[0]), names[1]
        record = workspace.endpoints.endpoint(name)
        return {"record": record.document(), "row": row_of(record)}

    def remove(self, *names: str) -> Any:
        """Delete it; return when nothing of it answers any more."""
        workspace, name = self.workspace(names[0]), names[1]
        workspace.endpoints.delete(name)
        return {"said": f"{name} was deleted. Its models stay registered."}


class EndpointHistory(Handler):
    """The changes of an endpoint."""

    def read(self, *names: str) -> Any:
        """Return them, oldest first."""
        workspace, name = self.workspace(names[0]), names[1]
        return [entry.document() for entry in workspace.endpoints.history(name)]


class EndpointClients(Handler):
    """How other programs call an endpoint."""

    def read(self, *names: str) -> Any:
        """Return URI, curl and Python, with the key read from a variable."""
        workspace, name = self.workspace(names[0]), names[1]
        workspace.endpoints.endpoint(name)
        return asdict(workspace.webservices[name].client_snippets())


class EndpointAction(Handler):
    """The actions on an endpoint: those of the buttons of a panel."""

    def change(self, *names: str) -> Any:
        """Do what is asked; return a sentence about it."""
        workspace, name, action = self.workspace(names[0]), names[1], names[2]
        workspace.endpoints.endpoint(name)
        return {"said": act(workspace, name, action, self.body())}


class Models(Handler):
    """The registered models of a workspace."""

    def read(self, *names: str) -> Any:
        """Return them, the newest version first, with the endpoints that use each."""
        workspace = self.workspace(names[0])
        users: dict[str, list[str]] = {}
        with suppress(ControllerStartError):  # a cluster that cannot be reached hides no model
            for record in workspace.endpoints.endpoints(start=False):
                for model_id in record.spec.model_ids:
                    users.setdefault(model_id, []).append(record.spec.name)
        return [
            {
                "name": model.name,
                "version": model.version,
                "framework": model.model_framework or "",
                "size": model.record.artifact.size,
                "created": model.created_time.timestamp(),
                "usedBy": users.get(model.id, []),
            }
            for model in Model.list(workspace)
        ]


class OneModel(Handler):
    """One version of a model."""

    def remove(self, *names: str) -> Any:
        """Delete it, unless an endpoint uses it."""
        workspace, name, version = self.workspace(names[0]), names[1], names[2]
        Model(workspace, id=f"{name}:{version}").delete()
        return {"said": f"Model {name}:{version} was deleted."}


class Targets(Handler):
    """The compute targets of a workspace."""

    def read(self, *names: str) -> Any:
        """Return them, each with the reason why it cannot be used now, if there is one."""
        context = self.workspace(names[0]).context
        return [
            {"name": name, "type": target.type, "about": target.about, "problem": target.availability() or ""}
            for name, target in context.targets.items()
        ]


_NAME = r"([^/]+)"

ROUTES: dict[str, type[Handler]] = {
    r"version": Version,
    rf"modules/{_NAME}": Module,
    r"workspaces": Workspaces,
    rf"workspaces/{_NAME}/endpoints": Endpoints,
    rf"workspaces/{_NAME}/endpoints/{_NAME}": Endpoint,
    rf"workspaces/{_NAME}/endpoints/{_NAME}/history": EndpointHistory,
    rf"workspaces/{_NAME}/endpoints/{_NAME}/clients": EndpointClients,
    rf"workspaces/{_NAME}/endpoints/{_NAME}/actions/{_NAME}": EndpointAction,
    rf"workspaces/{_NAME}/models": Models,
    rf"workspaces/{_NAME}/models/{_NAME}/{_NAME}": OneModel,
    rf"workspaces/{_NAME}/targets": Targets,
}
"""The routes below ``/mljupyter/``."""
