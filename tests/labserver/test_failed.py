"""A server whose installation of the extension is broken tells the page why, and works otherwise."""

from __future__ import annotations

import json
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from jupyter_server.auth import AllowAllAuthorizer, User
from jupyter_server.auth.identity import IdentityProvider
from jupyter_server.log import log_request
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application

import mljupyter.labserver
from mljupyter.labserver.handler import STATE, Handler
from mljupyter.labserver.once import Once


class Anybody(IdentityProvider):
    def get_user(self, handler: object) -> User:
        return User(username="ada")


class Nobody(IdentityProvider):
    def get_user(self, handler: object) -> None:
        return None


async def refused(application: Application, path: str) -> HTTPClientError:
    """Ask a server for a path; return its refusal."""
    socket, port = bind_unused_port()
    server = HTTPServer(application)
    server.add_socket(socket)
    with pytest.raises(HTTPClientError) as raised:
        await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}{path}")
    server.stop()
    return raised.value


async def test_a_failure_of_a_route_is_told_to_the_page_and_no_token_gets_into_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Handler):
        def read(self, *names: str) -> Any:
            raise ZeroDivisionError

    state = SimpleNamespace(once=Once(), pool=ThreadPoolExecutor(1))
    application = Application(
        [("/mljupyter/broken", Broken)],
        identity_provider=Anybody(),
        authorizer=AllowAllAuthorizer(),
        disable_check_xsrf=True,
        log_function=log_request,
        **{STATE: state},
    )
    raised = await refused(application, "/mljupyter/broken?token=hush-hush")
    state.pool.shutdown()
    assert raised.code == 500
    assert raised.response is not None
    assert "log of Jupyter Server" in json.loads(raised.response.body)["message"]
    assert "ZeroDivisionError" in caplog.text
    assert "hush-hush" not in caplog.text


@pytest.mark.parametrize(("identity", "status"), [(Anybody, 503), (Nobody, 403)])
async def test_what_is_wrong_is_told_to_the_user_alone(
    monkeypatch: pytest.MonkeyPatch, identity: type[IdentityProvider], status: int
) -> None:
    monkeypatch.setitem(sys.modules, "mljupyter.labserver.extension", None)  # as if a file of it were missing
    application = Application(
        base_url="/user/ada/", identity_provider=identity(), authorizer=AllowAllAuthorizer(), disable_check_xsrf=True
    )
    mljupyter.labserver._load_jupyter_server_extension(SimpleNamespace(web_app=application, log=logging.getLogger()))
    raised = await refused(application, "/user/ada/mljupyter/version")
    assert raised.code == status
    assert raised.response is not None
    if status == 503:
        answer = json.loads(raised.response.body)
        assert "ModuleNotFoundError" in answer["message"]
        assert answer["hint"].startswith("pip install")
