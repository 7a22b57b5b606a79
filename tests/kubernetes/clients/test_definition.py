"""The definition of the custom resource that all installations of a cluster share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.crd import custom_resource_definition
from mljupyter.targets.kubernetes.cluster import ClusterError
from mljupyter.targets.kubernetes.definition import DEFINITION_PATH, define, is_deleted

MANIFEST = custom_resource_definition()


class Server:
    """An API server that serves custom resources as long as their definition is not being deleted."""

    def __init__(self, *, deleting: bool = False) -> None:
        self.definition: dict[str, Any] | None = self._made(deleting=True) if deleting else None
        self.status = 404

    def apply(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        assert (path, body) == (DEFINITION_PATH, MANIFEST)
        self.definition = self.definition or self._made(deleting=False)
        return self.definition

    def find(self, path: str) -> dict[str, Any] | None:
        assert path == DEFINITION_PATH
        return self.definition

    def get(self, path: str) -> dict[str, Any]:
        assert path == names.mlendpoints("team")
        if self.status != 200:
            raise ClusterError("there is no such kind", self.status)
        return {"items": []}

    @staticmethod
    def _made(*, deleting: bool) -> dict[str, Any]:
        return {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleting else {}}


def test_its_path_is_that_of_the_manifest() -> None:
    assert names.object_path(MANIFEST) == DEFINITION_PATH


def test_it_is_in_force_when_the_api_server_serves_custom_resources() -> None:
    server = Server()
    assert define(server, MANIFEST, "team") == "there is no such kind"
    server.status = 200
    assert define(server, MANIFEST, "team") == ""


def test_one_that_somebody_deletes_meanwhile_is_created_again_when_it_is_gone() -> None:
    server = Server(deleting=True)
    server.status = 200
    assert is_deleted(server.find(DEFINITION_PATH))
    assert define(server, MANIFEST, "team") == "an earlier definition is being deleted"
    server.definition = None
    assert is_deleted(server.find(DEFINITION_PATH))
    assert define(server, MANIFEST, "team") == ""
    assert not is_deleted(server.find(DEFINITION_PATH))


def test_another_refusal_is_raised() -> None:
    server = Server()
    server.status = 403
    with pytest.raises(ClusterError, match="no such kind"):
        define(server, MANIFEST, "team")
