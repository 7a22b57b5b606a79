"""The pod that reads collected data: its secret, and its errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from mljupyter.kubernetes.collected_reader import application
from mljupyter.kubernetes.objects import names

SECRET = "0" * 64
FILES = "/v1/endpoints/iris/collected"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "iris/modeldata/a"
    place.mkdir(parents=True)
    for number in range(3):
        (place / f"data.pod-{number}.csv").write_text("a\n1\n")
    return tmp_path


async def ask(root: Path, path: str, secret: str = SECRET, **query: Any) -> httpx.Response:
    transport = httpx.ASGITransport(application(root, SECRET))
    async with httpx.AsyncClient(transport=transport, base_url="http://reader") as client:
        return await client.get(path, params=query, headers={names.SECRET_HEADER: secret})


@pytest.mark.parametrize("path", [FILES, f"{FILES}/content"])
@pytest.mark.parametrize("secret", ["", "1" * 64, SECRET[:-1]])
async def test_only_who_has_the_secret_gets_data(root: Path, path: str, secret: str) -> None:
    answer = await ask(root, path, secret, file="modeldata/a/data.pod-1.csv")
    assert (answer.status_code, answer.json()["code"]) == (401, "Forbidden")


async def test_the_probe_needs_no_secret(root: Path) -> None:
    assert (await ask(root, "/healthz", "")).status_code == 200


async def test_files_are_listed_and_read_in_pieces(root: Path) -> None:
    listed = (await ask(root, FILES, most=2)).json()
    assert [one["path"] for one in listed] == ["modeldata/a/data.pod-0.csv", "modeldata/a/data.pod-1.csv"]
    rest = (await ask(root, FILES, after=listed[-1]["path"])).json()
    assert [one["path"] for one in rest] == ["modeldata/a/data.pod-2.csv"]
    assert (await ask(root, f"{FILES}/content", file=rest[0]["path"], offset=2, most=1)).content == b"1"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"file": "../../etc/passwd"}, "InvalidSpec"),
        ({}, "InvalidSpec"),
        ({"file": "modeldata/a/data.pod-0.csv", "most": 1 << 40}, "InvalidSpec"),
        ({"file": "modeldata/a/data.pod-0.csv", "offset": -1}, "InvalidSpec"),
        ({"file": "modeldata/a/gone.csv"}, "CollectedDataNotAvailable"),
    ],
)
async def test_what_cannot_be_read_is_an_error_with_a_code(root: Path, query: dict[str, Any], code: str) -> None:
    answer = await ask(root, f"{FILES}/content", **query)
    assert answer.status_code in (400, 409)
    assert answer.json()["code"] == code
    assert str(root) not in answer.json()["message"]


async def test_the_name_of_an_endpoint_cannot_lead_out(root: Path) -> None:
    answer = await ask(root / "iris", "/v1/endpoints/%2E%2E/collected")
    assert answer.status_code in (400, 404)
