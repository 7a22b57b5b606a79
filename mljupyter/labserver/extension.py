"""Adds the routes to a Jupyter server, and ends what they have begun when it stops."""

from __future__ import annotations

import atexit
from typing import Any

from jupyter_server.utils import url_path_join

from mljupyter.files import expanded
from mljupyter.labserver.channel import Channel
from mljupyter.labserver.handler import STATE
from mljupyter.labserver.routes import ROUTES
from mljupyter.labserver.state import ServerState

PREFIX = "mljupyter"


def load(server: Any) -> None:
    """Add the routes of mljupyter to a Jupyter server.

    Parameters:
        server: the `ServerApp`.

    """
    web_app = server.web_app
    state = web_app.settings[STATE] = ServerState(expanded(web_app.settings.get("server_root_dir") or server.root_dir))
    atexit.register(state.close)
    base = web_app.settings["base_url"]
    routes: list[tuple[str, Any]] = [(path, handler) for path, handler in ROUTES.items()]
    routes.append((r"channel", Channel))
    web_app.add_handlers(".*$", [(url_path_join(base, PREFIX, path), handler) for path, handler in routes])
