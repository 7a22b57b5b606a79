"""The software bill of materials (SBOM) of an image, as CycloneDX 1.6 in JSON."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING

from mljupyter.build.images.builder import BuiltImage, InstalledPackage
from mljupyter.build.images.plan.plan import ImagePlan

if TYPE_CHECKING:
    from cyclonedx.model.component import Component

# Serial numbers are derived from the content, so that the same image has the same bill.
_NAMESPACE = uuid.UUID("6e0f7f6a-6f3e-5d0a-9a52-0b6f0f2c7d11")


def bill_of_materials(plan: ImagePlan, image: BuiltImage) -> bytes:
    """Return the SBOM of an image: the packages of both environments, the models and the base image.

    The bytes depend on the plan and the image alone, so the bill has no time stamp.
    """
    # A heavy import (about 150 modules), needed only once for each built image.
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.tool import ToolRepository
    from cyclonedx.output.json import JsonV1Dot6

    from mljupyter import __version__  # in the function: the package's face loads its names lazily

    components = [_package(package) for package in sorted(set(image.packages), key=_order)]
    components += [
        Component(
            type=ComponentType.MACHINE_LEARNING_MODEL,
            bom_ref=f"model/{model.id}",
            name=model.name,
            version=str(model.version),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=model.digest.removeprefix("sha256:"))],
        )
        for model in plan.models
    ]
    if plan.base_image is not None:
        base = Component(type=ComponentType.CONTAINER, bom_ref=f"base/{plan.base_image}", name=plan.base_image)
        components.append(base)
    root = Component(
        type=ComponentType.CONTAINER,
        bom_ref="image",
        name=image.reference,
        version=image.digest,
        properties=[Property(name="mljupyter:plan", value=plan.digest)],
    )
    tool = Component(type=ComponentType.APPLICATION, name="mljupyter", version=__version__)
    bill = Bom(
        serial_number=uuid.uuid5(_NAMESPACE, f"{plan.digest} {image.digest}"),
        metadata=BomMetaData(tools=ToolRepository(components=[tool]), component=root),
        components=components,
    )
    bill.register_dependency(root, components)
    document = json.loads(JsonV1Dot6(bill).output_as_string())
    del document["metadata"]["timestamp"]
    return f"{json.dumps(document, indent=1, sort_keys=True)}\n".encode()


def requirements_of(bill: bytes) -> list[str]:
    """Return the Python packages of an SBOM as pinned requirements, such as ``numpy==2.1.0``."""
    components = json.loads(bill).get("components", [])
    found = [item for item in components if str(item.get("purl", "")).startswith("pkg:pypi/")]
    return sorted({f"{item['name']}=={item['version']}" for item in found})


def _order(package: InstalledPackage) -> tuple[str, str, str]:
    return package.part, package.name.lower(), package.version


def _package(package: InstalledPackage) -> Component:
    from cyclonedx.model import Property  # heavy: see `bill_of_materials`
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import DisjunctiveLicense
    from packageurl import PackageURL

    name = re.sub(r"[-_.]+", "-", package.name).lower()
    return Component(
        type=ComponentType.LIBRARY,
        bom_ref=f"{package.part}/{name}@{package.version}",
        name=package.name,
        version=package.version,
        purl=PackageURL("pypi", name=name, version=package.version),
        licenses=[DisjunctiveLicense(name=package.license)] if package.license else [],
        properties=[Property(name="mljupyter:part", value=package.part)],
    )
