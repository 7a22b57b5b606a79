"""Models and images without a kernel: download, what a deletion would break, the log of a build."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.labserver.conftest import Server
from tests.testbed import needed

REGISTER = """
from mljupyter.core import Model, Workspace
ws = Workspace.create("shelf", exist_ok=True)
Model.register(ws, "{place}/one.bin", "one")
Model.register(ws, "{place}/several", "several")
"""
CONTENT = bytes(range(256)) * 9000  # more than one piece, and whole blocks of an archive
NAME = "lïne of 100 %.txt"


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Return a client of a server whose workspace ``shelf`` has a model of one file, and one of several."""
    place = tmp_path_factory.mktemp("models")
    (place / "one.bin").write_bytes(CONTENT)
    (place / "several" / "deep").mkdir(parents=True)
    (place / "several" / "MLmodel").write_text("flavors: {}")
    (place / "several" / "deep" / NAME).write_bytes(CONTENT)
    program = place / "several" / "run"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    server.sdk(REGISTER.format(place=place))
    with server.client() as found:
        yield found


def test_a_model_of_one_file_is_downloaded_under_its_name(client: httpx.Client) -> None:
    answer = client.get("workspaces/shelf/models/one/1/content")
    assert answer.status_code == 200
    assert answer.content == CONTENT
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''one.bin"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert int(answer.headers["content-length"]) == len(CONTENT)


def test_a_model_of_several_files_is_downloaded_as_an_archive(client: httpx.Client) -> None:
    answer = client.get("workspaces/shelf/models/several/1/content")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''several-1.tar"
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        found = {item.name: item for item in archive if item.isfile()}
        top = Path("several-1/several")
        assert found.keys() == {str(top / "MLmodel"), str(top / "run"), str(top / "deep" / NAME)}
        content = archive.extractfile(found[str(top / "deep" / NAME)])
        assert content is not None and content.read() == CONTENT
        assert found[str(top / "run")].mode & 0o111


def test_a_model_that_does_not_exist_is_an_error_in_words(client: httpx.Client) -> None:
    answer = client.get("workspaces/shelf/models/one/7/content")
    assert answer.status_code == 404
    assert "one:7" in answer.json()["message"] or "version 7" in answer.json()["message"]


def test_a_model_that_nothing_uses_says_so_before_it_is_deleted(server: Server, client: httpx.Client) -> None:
    server.sdk(
        "from mljupyter.core import Model, Workspace\n"
        "ws = Workspace.get('shelf')\nModel.register(ws, Model(ws, 'one').download('.', exist_ok=True), 'spare')"
    )
    assert client.get("workspaces/shelf/models/spare/1").json() == {"id": "spare:1", "usedBy": []}
    assert client.delete("workspaces/shelf/models/spare/1").json() == {"said": "Model spare:1 was deleted."}
    assert client.get("workspaces/shelf/models/spare/1").status_code == 404


def test_a_workspace_without_images_has_an_empty_list(client: httpx.Client) -> None:
    assert client.get("workspaces/shelf/images").json() == []


def test_an_image_is_listed_with_its_size_its_log_is_shown_and_it_is_deleted(
    server: Server, client: httpx.Client
) -> None:
    needed("MLJUPYTER_TEST_DOCKER")
    base = needed("MLJUPYTER_TEST_BASE_IMAGE")
    server.sdk(
        "from mljupyter.core import Image, Workspace\n"
        f"image = Image.register(Workspace.get('shelf'), 'own', {base!r})\n"
        "image.wait_for_creation()"
    )
    (image,) = client.get("workspaces/shelf/images").json()
    assert (image["name"], image["version"], image["state"], image["usedBy"]) == ("own", 1, "Succeeded", [])
    assert image["size"] > 1_000_000
    assert image["error"] == ""
    with server.page() as page:
        page.tell(do="open", view="log", kind="build", workspace="shelf", given={"name": "own:1"})
        opened = page.hear(lambda message: message.get("view") == "log")
        assert (opened["module"], opened["state"]["view"]["status"]) == ("log", "Succeeded")
        page.tell(do="close", view="log")
    assert "deleted" in client.delete("workspaces/shelf/images/own/1").json()["said"]
    assert client.get("workspaces/shelf/images").json() == []
    assert client.delete("workspaces/shelf/images/own/1").status_code == 404
