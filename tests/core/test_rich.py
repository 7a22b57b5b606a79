"""Objects of the SDK as a notebook shows them: complete, the same every time, nothing secret, nothing executable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mljupyter.core import Environment, Model, Workspace
from mljupyter.core.compute import ComputeTarget
from mljupyter.core.webservice import Webservice
from mljupyter.spec import EndpointRecord


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    return Workspace.create("shown", tags={"b": "2", "a": "1"})


def record(kind: str, versions: list[str]) -> EndpointRecord:
    code = {"digest": "sha256:" + "0" * 64, "entryScript": "score.py"}
    return EndpointRecord.parse(
        {
            "spec": {
                "name": "shown",
                "kind": kind,
                "defaultVersion": versions[0],
                "versions": {name: {"code": code} for name in versions},
                "authentication": "none" if kind == "LOCAL" else "key",
                "tags": {"team": "<b>blue</b>"},
            },
            "status": {},
            "createdTime": "2026-01-01T00:00:00Z",
            "updatedTime": "2026-01-01T00:00:00Z",
            "generation": 1,
            "resourceVersion": 1,
        }
    )


def environment() -> Environment:
    found = Environment("serving")
    found.docker.base_image_registry.password = "hunter2"
    found.environment_variables = {"TOKEN": "hunter2"}
    assert found.python.conda_dependencies is not None
    found.python.conda_dependencies.set_pip_option("--extra-index-url https://team:hunter2@example.org/simple")
    return found


def model(ws: Workspace, tmp_path: Path) -> Model:
    (tmp_path / "weights.json").write_text("[3]")
    return Model.register(ws, tmp_path / "weights.json", "weights", tags={"<script>": "x"}, description="three")


OBJECTS: dict[str, Callable[[Workspace, Path], Any]] = {
    "workspace": lambda ws, _: ws,
    "model": model,
    "environment": lambda *_: environment(),
    "target": lambda ws, _: ComputeTarget(ws, "local"),
    "local": lambda ws, _: Webservice.from_record(ws, record("LOCAL", ["shown"])),
    "aci": lambda ws, _: Webservice.from_record(ws, record("ACI", ["shown"])),
    "aks": lambda ws, _: Webservice.from_record(ws, record("AKS", ["shown"])),
    "endpoint": lambda ws, _: Webservice.from_record(ws, record("AKSENDPOINT", ["one", "two"])),
    "version": lambda ws, _: Webservice.from_record(ws, record("AKSENDPOINT", ["one", "two"])).versions["one"],
}


@pytest.mark.parametrize("name", OBJECTS)
def test_every_object_has_text_and_html_that_are_the_same_each_time(ws: Workspace, tmp_path: Path, name: str) -> None:
    shown: Any = OBJECTS[name](ws, tmp_path)
    text, html = repr(shown), shown._repr_html_()
    assert (text, html) == (repr(shown), shown._repr_html_())
    assert type(shown).__name__ in html
    for private in ("hunter2", str(tmp_path), "<script>", "<b>", "0x"):
        assert private not in html
    assert "hunter2" not in text


def test_models_and_web_services_are_tables_and_stay_dicts(ws: Workspace, tmp_path: Path) -> None:
    assert ws.models == ws.webservices == {}
    model(ws, tmp_path)
    models = ws.models
    assert isinstance(models, dict)
    assert list(models) == ["weights"]
    html: Any = models._repr_html_()  # type: ignore[attr-defined]
    for shown in ('<th scope="col"', "weights", "3 bytes", " UTC", "Size", "&lt;script&gt;"):
        assert shown in html
    assert "<script>" not in html


def test_the_share_of_each_version_is_shown(ws: Workspace) -> None:
    assert "one 100 %, two 0 %" in OBJECTS["endpoint"](ws, Path())._repr_html_()


def test_tags_are_shown_in_order(ws: Workspace) -> None:
    assert "a=1, b=2" in ws._repr_html_()
