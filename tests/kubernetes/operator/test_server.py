"""The operator's API is for those who have the secret; health checks are for everybody."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.operator.server import OperatorServer

SECRET = "7" * 64
ADMITTED = {names.SECRET_HEADER: SECRET}
API = Starlette(routes=[Route("/v1/status", lambda request: PlainTextResponse("the api"))])


@pytest.fixture
async def server() -> AsyncIterator[OperatorServer]:
    server = OperatorServer(0, SECRET, lambda task: None)
    yield server
    await server.close()


async def asked(server: OperatorServer, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{server.port}{path}", headers=headers)


async def test_health_checks_need_no_secret(server: OperatorServer) -> None:
    assert (await asked(server, "/healthz")).status_code == 200
    assert (await asked(server, "/readyz")).text == "waiting to lead"
    server.begin(API)
    assert (await asked(server, "/readyz")).text == "leading"


@pytest.mark.parametrize("headers", [{}, {names.SECRET_HEADER: ""}, {names.SECRET_HEADER: "8" * 64}])
async def test_the_api_is_refused_without_the_secret(server: OperatorServer, headers: dict[str, str]) -> None:
    server.begin(API)
    answer = await asked(server, "/v1/status", headers)
    assert answer.status_code == 403
    assert answer.json()["code"] == "Forbidden"
    assert SECRET not in answer.text


async def test_an_operator_that_waits_says_so(server: OperatorServer) -> None:
    answer = await asked(server, "/v1/status", ADMITTED)
    assert (answer.status_code, answer.json()["code"]) == (503, "OperatorNotReady")


async def test_the_operator_that_leads_answers(server: OperatorServer) -> None:
    server.begin(API)
    assert (await asked(server, "/v1/status", ADMITTED)).text == "the api"
