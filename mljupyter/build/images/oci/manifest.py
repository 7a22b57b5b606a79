"""The OCI configuration and manifest of an image. Equal images get the same bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mljupyter.build.images.oci.layers import MEDIA_TYPE
from mljupyter.build.images.plan import layout
from mljupyter.build.images.plan.plan import ImagePlan
from mljupyter.build.images.registry.descriptors import OCI_MANIFEST, Descriptor

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
# A fixed creation time: the time of the build would give another digest each time.
_EPOCH = "1970-01-01T00:00:00Z"
_NANOSECONDS = 1_000_000_000
_LAYER_TYPES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": MEDIA_TYPE,
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    ),
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}


def image_config(base: dict[str, Any], plan: ImagePlan, layers: Sequence[tuple[str, str]]) -> bytes:
    """Return the configuration: that of the base image, with the settings of a scoring container.

    Parameters:
        base: the base image's configuration.
        plan: the plan.
        layers: digest of the content, and origin, of each added layer.

    """
    begun = base.get("config") or {}
    created = base.get("created") or _EPOCH
    variables = dict(item.partition("=")[::2] for item in begun.get("Env") or [])
    variables |= plan.all_variables()
    config = {
        **{key: value for key, value in begun.items() if key in ("Volumes", "StopSignal", "Shell") and value},
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "Labels": dict(sorted({**(begun.get("Labels") or {}), **plan.labels()}.items())),
        "User": f"{layout.USER}:{layout.USER}",
        "WorkingDir": layout.WORKING_DIRECTORY,
        "Entrypoint": list(layout.ENTRY_POINT),
        "ExposedPorts": {**(begun.get("ExposedPorts") or {}), f"{layout.PORT}/tcp": {}},
        # The health check is not part of OCI's format, but Docker and other engines read it from here.
        "Healthcheck": {
            "Test": ["CMD", *layout.HEALTH_CHECK],
            "Interval": layout.HEALTH_INTERVAL_SECONDS * _NANOSECONDS,
            "Timeout": layout.HEALTH_TIMEOUT_SECONDS * _NANOSECONDS,
            "StartPeriod": layout.HEALTH_START_SECONDS * _NANOSECONDS,
            "Retries": layout.HEALTH_RETRIES,
        },
    }
    system, _, machine = plan.platform.partition("/")
    document = {
        "created": created,
        "architecture": machine,
        "os": system,
        **({"variant": base["variant"]} if base.get("variant") else {}),
        "config": config,
        "rootfs": {
            "type": "layers",
            "diff_ids": [*base["rootfs"]["diff_ids"], *(diff_id for diff_id, _ in layers)],
        },
        "history": [
            *(base.get("history") or []),
            *({"created": created, "created_by": origin} for _, origin in layers),
        ],
    }
    return _canonical(document)


def image_manifest(
    base_layers: Sequence[Descriptor], config_digest: str, config_size: int, layers: Sequence[tuple[str, int]]
) -> bytes:
    """Return the manifest that names configuration and layers. Nothing else is copied from the base image's manifest.

    Addresses of layers in the base image's manifest (``urls``) are left out, since the registry has those layers too.
    """
    described = [
        {"mediaType": _LAYER_TYPES.get(layer.media_type, layer.media_type), "digest": layer.digest, "size": layer.size}
        for layer in base_layers
    ]
    described += [{"mediaType": MEDIA_TYPE, "digest": digest, "size": size} for digest, size in layers]
    return _canonical(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": CONFIG_TYPE, "digest": config_digest, "size": config_size},
            "layers": described,
        }
    )


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
