from __future__ import annotations

import json

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

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
    bill = bill_of_materials(planned(), image(*PACKAGES))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.decode()) is None


def test_the_image_depends_on_every_component(planned: Planner) -> None:
    bill = json.loads(bill_of_materials(planned(), image(*PACKAGES)))
    (dependencies,) = [item["dependsOn"] for item in bill["dependencies"] if item["ref"] == "image"]
    assert dependencies == sorted(item["bom-ref"] for item in bill["components"])


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
    purls = [item["purl"] for item in bill["components"] if item["type"] == "library"]
    assert sorted(purls) == ["pkg:pypi/click@8.1.7", "pkg:pypi/click@8.5.1", "pkg:pypi/roman-numerals@4.2"]
    assert requirements_of(json.dumps(bill).encode()) == ["Roman.Numerals==4.2", "click==8.1.7", "click==8.5.1"]


def test_the_same_image_has_the_same_bill(planned: Planner) -> None:
    plan = planned()
    bill = bill_of_materials(plan, image(*PACKAGES))
    assert bill == bill_of_materials(plan, image(*reversed(PACKAGES)))
    assert b"timestamp" not in bill
