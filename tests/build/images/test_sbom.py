from __future__ import annotations

import json

import pytest

from mljupyter.build.images import BuiltImage, InstalledPackage
from mljupyter.build.images.oci.sbom import bill_of_materials, requirements_of

from .conftest import Planner

PACKAGES = (
    InstalledPackage("Roman.Numerals", "4.2", "environment", "ZPL 2.1"),
    InstalledPackage("click", "8.1.7", "environment"),
    InstalledPackage("click", "8.5.1", "server", "BSD-3-Clause"),
)


def image(*packages: InstalledPackage) -> BuiltImage:
    return BuiltImage("mljupyter/a:1", f"sha256:{'1' * 64}", (), packages)


def test_the_bill_is_valid_cyclonedx(planned: Planner) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json", reason="pip install cyclonedx-python-lib[validation]")
    from cyclonedx.schema import SchemaVersion

    bill = bill_of_materials(planned(), image(*PACKAGES))
    assert validation.JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.decode()) is None


def test_the_bill_names_packages_of_both_environments_models_and_base(planned: Planner) -> None:
    bill = json.loads(bill_of_materials(planned(), image(*PACKAGES)))
    named = {(item["type"], item["name"], item.get("version")) for item in bill["components"]}
    assert named == {
        ("library", "Roman.Numerals", "4.2"),
        ("library", "click", "8.1.7"),
        ("library", "click", "8.5.1"),
        ("machine-learning-model", "scale", "3"),
        ("container", "python:3.11-slim", None),
    }
    assert bill["components"][0]["purl"].startswith("pkg:pypi/")
    assert requirements_of(json.dumps(bill).encode()) == ["Roman.Numerals==4.2", "click==8.1.7", "click==8.5.1"]


def test_the_same_image_has_the_same_bill(planned: Planner) -> None:
    plan = planned()
    assert bill_of_materials(plan, image(*PACKAGES)) == bill_of_materials(plan, image(*reversed(PACKAGES)))
