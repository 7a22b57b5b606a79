"""Container images, built from an environment, code and models.

>>> plan = plan_image(definition, code=code, models=models)
>>> builder = builder_for("docker", registry.artifacts, plan=plan)
>>> record = build_or_reuse(registry, plan, builder, "myimage", on_event=print)
>>> record.id, record.location
('myimage:1', 'mljupyter/myimage:1-37b4e05a0f6f')

`plan_image` decides everything and builds nothing. `save_context` writes a plan as a directory for ``docker build``.
`builder_for` returns the builder for a place: ``docker`` (an engine) or ``registry/<host>`` (with or without an
engine). `begin_image` records a version as Running at once; `finish_image`, in a thread of the caller, reuses or builds
the image; `build_or_reuse` does both. Setting the event `cancel` stops a build. `delete_image` refuses while something
uses the image. `scan` looks for known vulnerabilities. See docs/images.md.

Each name is imported on its first use, since a controller needs few of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mljupyter.lazy import lazy_names

if TYPE_CHECKING:
    from mljupyter.build.images.builder import Builder, BuiltImage, InstalledPackage
    from mljupyter.build.images.builders import builder_for
    from mljupyter.build.images.create import (
        begin_image,
        build_or_reuse,
        delete_image,
        finish_image,
        relaxations,
        relaxed_before,
        stored_text,
    )
    from mljupyter.build.images.errors import (
        BuildCancelledError,
        BuilderUnavailableError,
        BuildFailedError,
        ImageError,
        RegistryCredentialsError,
        RegistryError,
        RegistryNotFoundError,
    )
    from mljupyter.build.images.events import BuildEvent
    from mljupyter.build.images.oci.scan import Finding, ScanReport, scan, scan_report
    from mljupyter.build.images.plan.context import save_context
    from mljupyter.build.images.plan.dockerfile import dockerfile
    from mljupyter.build.images.plan.pins import pins_for_saving
    from mljupyter.build.images.plan.plan import ImagePlan, PlannedFile, plan_image, plan_of
    from mljupyter.build.images.registry.credentials import RegistryCredentials
    from mljupyter.build.images.registry.references import Reference, reference_for

_HOME_OF = {
    "BuildCancelledError": "errors",
    "BuildEvent": "events",
    "BuildFailedError": "errors",
    "Builder": "builder",
    "BuilderUnavailableError": "errors",
    "BuiltImage": "builder",
    "Finding": "oci.scan",
    "ImageError": "errors",
    "ImagePlan": "plan.plan",
    "InstalledPackage": "builder",
    "PlannedFile": "plan.plan",
    "Reference": "registry.references",
    "RegistryCredentials": "registry.credentials",
    "RegistryCredentialsError": "errors",
    "RegistryError": "errors",
    "RegistryNotFoundError": "errors",
    "ScanReport": "oci.scan",
    "begin_image": "create",
    "build_or_reuse": "create",
    "builder_for": "builders",
    "delete_image": "create",
    "dockerfile": "plan.dockerfile",
    "finish_image": "create",
    "pins_for_saving": "plan.pins",
    "plan_image": "plan.plan",
    "plan_of": "plan.plan",
    "reference_for": "registry.references",
    "relaxations": "create",
    "relaxed_before": "create",
    "save_context": "plan.context",
    "scan": "oci.scan",
    "scan_report": "oci.scan",
    "stored_text": "create",
}
__all__ = [
    "BuildCancelledError",
    "BuildEvent",
    "BuildFailedError",
    "Builder",
    "BuilderUnavailableError",
    "BuiltImage",
    "Finding",
    "ImageError",
    "ImagePlan",
    "InstalledPackage",
    "PlannedFile",
    "Reference",
    "RegistryCredentials",
    "RegistryCredentialsError",
    "RegistryError",
    "RegistryNotFoundError",
    "ScanReport",
    "begin_image",
    "build_or_reuse",
    "builder_for",
    "delete_image",
    "dockerfile",
    "finish_image",
    "pins_for_saving",
    "plan_image",
    "plan_of",
    "reference_for",
    "relaxations",
    "relaxed_before",
    "save_context",
    "scan",
    "scan_report",
    "stored_text",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME_OF)
