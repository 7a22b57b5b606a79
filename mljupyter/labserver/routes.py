"""The routes, by feature: version, modules, workspaces, endpoints and their actions, models, images, targets."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Any

import mljupyter
from mljupyter.client.errors import ControllerStartError
from mljupyter.controller.offline import needed_versions
from mljupyter.core import Image, Model, Workspace
from mljupyter.core.selection import existing_default
from mljupyter.deploy.images.sizes import sizes_of_images
from mljupyter.deploy.images.users import users_of_image
from mljupyter.deploy.leftovers import users_of_model
from mljupyter.engine.endpoints.model_users import users_of_models
from mljupyter.labserver.handler import Download, Handler, RequestError
from mljupyter.labserver.rows import row_of
from mljupyter.notebook.views.history import documents as history_documents
from mljupyter.registry.artifacts.streaming import pieces_of_archive, pieces_of_file
from mljupyter.widgets.panels.actions import act
from mljupyter.widgets.static_files import module, styles

MODULES = ("comparison", "history", "log", "monitor", "wizard")


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
        """Return it as the list has it, not its spec: environment variables and paths are of no use to a page."""
        workspace, name = self.workspace(names[0]), names[1]
        return {"row": row_of(workspace.endpoints.endpoint(name))}

    def remove(self, *names: str) -> Any:
        """Delete it; return when nothing of it answers any more."""
        workspace, name = self.workspace(names[0]), names[1]
        workspace.endpoints.delete(name)
        return {"said": f"{name} was deleted. Its models stay registered."}


class EndpointHistory(Handler):
    """The changes of an endpoint."""

    def read(self, *names: str) -> Any:
        """Return them, the newest first, without specs: environment variables may hold secrets."""
        workspace, name = self.workspace(names[0]), names[1]
        return history_documents(workspace.endpoints.history(name))


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
            users = users_of_models(workspace.endpoints.endpoints(start=False))
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

    def read(self, *names: str) -> Any:
        """Return everything that uses it, endpoints and images: it can be deleted if nothing does."""
        workspace, name, version = self.workspace(names[0]), names[1], names[2]
        model = Model(workspace, id=f"{name}:{version}")
        return {"id": model.id, "usedBy": users_of_model(workspace.context, model.id)}

    def remove(self, *names: str) -> Any:
        """Delete it, unless an endpoint uses it."""
        workspace, name, version = self.workspace(names[0]), names[1], names[2]
        Model(workspace, id=f"{name}:{version}").delete()
        return {"said": f"Model {name}:{version} was deleted."}


class ModelContent(Handler):
    """The content of a model."""

    def read(self, *names: str) -> Any:
        """Return its file, or a tar archive of its directory."""
        workspace, name, version = self.workspace(names[0]), names[1], names[2]
        record = Model(workspace, id=f"{name}:{version}").record
        store, digest = workspace.artifacts, record.artifact.digest
        entries = store.entries(digest)
        if entries is None:
            return Download(record.entry, pieces_of_file(store, digest), record.artifact.size)
        top = f"{name}-{version}"
        return Download(f"{top}.tar", pieces_of_archive(store, entries, f"{top}/{record.entry}"))


class Images(Handler):
    """The images of a workspace."""

    def read(self, *names: str) -> Any:
        """Return them, the newest version first, with what uses each."""
        workspace = self.workspace(names[0])
        context, images = workspace.context, Image.list(workspace)
        sizes = sizes_of_images([image.record for image in images])
        needed = needed_versions(context.directory) if images else []
        return [
            {
                "name": image.name,
                "version": image.version,
                "state": image.creation_state,
                "error": (image.creation_error or "").partition("\n")[0],
                "size": sizes.get(image.id),
                "created": image.created_time.timestamp(),
                "target": image.record.place,
                "location": image.image_location or "",
                "usedBy": users_of_image(context, image.record, needed),
            }
            for image in images
        ]


class OneImage(Handler):
    """One version of an image."""

    def remove(self, *names: str) -> Any:
        """Delete it here and on its engine or registry, unless an endpoint uses it."""
        workspace, name, version = self.workspace(names[0]), names[1], names[2]
        Image(workspace, id=f"{name}:{version}").delete()
        return {"said": f"Image {name}:{version} was deleted. Its models stay registered."}


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
    rf"workspaces/{_NAME}/models/{_NAME}/{_NAME}/content": ModelContent,
    rf"workspaces/{_NAME}/images": Images,
    rf"workspaces/{_NAME}/images/{_NAME}/{_NAME}": OneImage,
    rf"workspaces/{_NAME}/targets": Targets,
}
"""The routes below ``/mljupyter/``."""
