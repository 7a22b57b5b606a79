"""The bill of materials of an image, as CycloneDX JSON."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from mljupyter.build.images.builder import BuiltImage, InstalledPackage
from mljupyter.build.images.plan.plan import ImagePlan

SPECIFICATION = "1.6"
# Serial numbers follow from the content: the same image has the same bill.
_NAMESPACE = uuid.UUID("6e0f7f6a-6f3e-5d0a-9a52-0b6f0f2c7d11")


def bill_of_materials(plan: ImagePlan, image: BuiltImage) -> bytes:
    """Return what is in an image: packages of both environments, models, base image. CycloneDX 1.6, as JSON."""
    from mljupyter import __version__

    components = [_package(package) for package in sorted(set(image.packages), key=_order)]
    components += [
        {
            "type": "machine-learning-model",
            "bom-ref": f"model/{model.id}",
            "name": model.name,
            "version": str(model.version),
            "hashes": [{"alg": "SHA-256", "content": model.digest.removeprefix("sha256:")}],
        }
        for model in sorted(plan.models, key=lambda model: model.id)
    ]
    if plan.base_image is not None:
        components.append({"type": "container", "bom-ref": f"base/{plan.base_image}", "name": plan.base_image})
    document = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPECIFICATION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'{plan.digest} {image.digest}')}",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "mljupyter", "version": __version__}]},
            "component": {
                "type": "container",
                "bom-ref": "image",
                "name": image.reference,
                "version": image.digest,
                "properties": [{"name": "mljupyter:plan", "value": plan.digest}],
            },
        },
        "components": components,
    }
    return f"{json.dumps(document, indent=1, sort_keys=True)}\n".encode()


def requirements_of(bill: bytes) -> list[str]:
    """Return the Python packages that a bill names, as pinned requirements."""
    components = json.loads(bill).get("components", [])
    found = [item for item in components if str(item.get("purl", "")).startswith("pkg:pypi/")]
    return sorted({f"{item['name']}=={item['version']}" for item in found})


def _order(package: InstalledPackage) -> tuple[str, str, str]:
    return package.part, package.name.lower(), package.version


def _package(package: InstalledPackage) -> dict[str, Any]:
    name = re.sub(r"[-_.]+", "-", package.name).lower()
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": f"{package.part}/{name}@{package.version}",
        "name": package.name,
        "version": package.version,
        "purl": f"pkg:pypi/{name}@{package.version}",
        "properties": [{"name": "mljupyter:part", "value": package.part}],
    }
    if package.license:
        component["licenses"] = [{"license": {"name": package.license}}]
    return component
