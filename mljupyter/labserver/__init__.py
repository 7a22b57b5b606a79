"""The extension of Jupyter Server: endpoints, models and targets for the page, without a kernel."""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": "mljupyter.labserver"}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Add the routes of mljupyter to a Jupyter server. If that fails, everything else of the server works."""
    try:
        from mljupyter.labserver.extension import load  # only when a server loads it

        load(server)
    except Exception as error:  # whatever is wrong with the installation is told in the page
        from mljupyter.labserver.failed import tell  # only when it has failed

        server.log.exception("mljupyter.labserver could not be loaded")
        tell(server, error)
