"""A server whose installation of the extension is broken tells the page why, and works otherwise."""

from __future__ import annotations

import json
import logging
import sys
from types import SimpleNamespace

import pytest
from jupyter_server.auth import AllowAllAuthorizer, User
from jupyter_server.auth.identity import IdentityProvider
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application

import mljupyter.labserver


class Anybody(IdentityProvider):
    def get_user(self, handler: object) -> User:
        return User(username="ada")


class Nobody(IdentityProvider):
    def get_user(self, handler: object) -> None:
        return None


@pytest.mark.parametrize(("identity", "status"), [(Anybody, 503), (Nobody, 403)])
async def test_what_is_wrong_is_told_to_the_user_alone(
    monkeypatch: pytest.MonkeyPatch, identity: type[IdentityProvider], status: int
) -> None:
    monkeypatch.setitem(sys.modules, "mljupyter.labserver.extension", None)  # as if a file of it were missing
    application = Application(
        base_url="/user/ada/", identity_provider=identity(), authorizer=AllowAllAuthorizer(), disable_check_xsrf=True
    )
    mljupyter.labserver._load_jupyter_server_extension(SimpleNamespace(web_app=application, log=logging.getLogger()))
    socket, port = bind_unused_port()
    server = HTTPServer(application)
    server.add_socket(socket)
    with pytest.raises(HTTPClientError) as raised:
        await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/user/ada/mljupyter/version")
    server.stop()
    assert raised.value.code == status
    assert raised.value.response is not None
    if status == 503:
        answer = json.loads(raised.value.response.body)
        assert "ModuleNotFoundError" in answer["message"]
        assert answer["hint"].startswith("pip install")
