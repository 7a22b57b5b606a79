"""Answers in place of the routes where the extension could not be loaded, so that the page can tell why."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web


class Failed(APIHandler):
    """Tells whoever may use the extension why it is not there."""

    auth_resource = "mljupyter"
    _track_activity = False

    def initialize(self, reason: str) -> None:
        """Keep the reason."""
        self._failure = reason

    @web.authenticated
    @authorized
    async def get(self, *names: str) -> None:
        """Answer 503 with the reason."""
        self.set_status(HTTPStatus.SERVICE_UNAVAILABLE)
        message = f"The server extension of mljupyter could not be loaded: {self._failure}. Install it again:"
        hint = 'pip install --force-reinstall "mljupyter[lab]"'
        self.finish(json.dumps({"code": "ExtensionFailed", "message": message, "hint": hint}))

    post = delete = get


def tell(server: Any, error: Exception) -> None:
    """Answer all requests to the extension with the error that kept it from loading."""
    web_app = server.web_app
    path = url_path_join(web_app.settings["base_url"], "mljupyter", ".*")
    web_app.add_handlers(".*$", [(path, Failed, {"reason": f"{type(error).__name__}: {error}".rstrip(".: ")})])
