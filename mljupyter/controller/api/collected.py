"""CollectedApi: the part of the HTTP interface for collected data. Files are read in pieces of bounded size."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mljupyter.client.bounds import MOST_COLLECTED_BYTES, MOST_COLLECTED_FILES
from mljupyter.controller.api.query import whole_number
from mljupyter.controller.collected.base import CollectedData


class CollectedApi:
    """Answers requests about collected data.

    Parameters:
        collected: the data.
        find: raises an error for the name of an endpoint that does not exist.

    """

    def __init__(self, collected: CollectedData, find: Callable[[str], object]) -> None:
        self._collected = collected
        self._find = find

    @property
    def routes(self) -> list[Route]:
        """The routes of these operations."""
        return [
            Route("/v1/endpoints/{name}/collected", self._files, methods=["GET"]),
            Route("/v1/endpoints/{name}/collected/content", self._content, methods=["GET"]),
        ]

    async def _files(self, request: Request) -> Response:
        name = request.path_params["name"]
        self._find(name)
        most = whole_number(request, "most", MOST_COLLECTED_FILES, 1, MOST_COLLECTED_FILES)
        found = await self._collected.files(name, request.query_params.get("after", ""), most)
        return JSONResponse([file.document() for file in found])

    async def _content(self, request: Request) -> Response:
        name = request.path_params["name"]
        self._find(name)
        offset = whole_number(request, "offset", 0)
        most = whole_number(request, "most", MOST_COLLECTED_BYTES, 1, MOST_COLLECTED_BYTES)
        content = await self._collected.read(name, request.query_params.get("file", ""), offset, most)
        return Response(content, media_type="application/octet-stream")
