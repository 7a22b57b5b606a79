"""The documents of an endpoint on the API server: its custom resource, and the Secret with the operator's state."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mljupyter.controller.storage.store import EndpointRows
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.crd import columns
from mljupyter.outside import json_value
from mljupyter.spec import EndpointRecord, EndpointSpec, EndpointState, EndpointStatus, SpecError, VersionSpec
from mljupyter.spec.difference import HIDDEN, masked

STATE_KEY = "state.json.gz"
_STATUS = frozenset(field.alias or name for name, field in EndpointStatus.model_fields.items())
_OURS = ("name", "computeTarget")  # the resource's name and the operator's target say it


def resource(spec: EndpointSpec, namespace: str, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the custom resource of an endpoint: the present one with another spec, or a new one.

    Parameters:
        spec: the desired state.
        namespace: the namespace of the operator.
        before: the present resource; None for a new one.

    """
    shown = masked(spec.document())  # the values of environment variables are in the state Secret
    document = {name: value for name, value in shown.items() if name not in _OURS}
    if before is not None:
        finalizers = list(before["metadata"].get("finalizers") or ())
        if names.FINALIZER not in finalizers:
            finalizers.append(names.FINALIZER)
        return {**before, "metadata": {**before["metadata"], "finalizers": finalizers}, "spec": document}
    return {
        "apiVersion": f"{names.GROUP}/{names.API_VERSION}",
        "kind": names.KIND,
        "metadata": {
            "name": spec.name,
            "namespace": namespace,
            "labels": {names.PART_OF_LABEL: "mljupyter"},
            "finalizers": [names.FINALIZER],
        },
        "spec": document,
    }


def spec_of(found: Mapping[str, Any], target: str, known: EndpointSpec | None) -> EndpointSpec:
    """Return the endpoint that a custom resource describes, or raise `SpecError`.

    Parameters:
        found: the resource.
        target: the compute target that the operator serves, which a resource need not name.
        known: the endpoint as it is known, with the values of environment variables that the resource hides.

    """
    spec = found.get("spec") or {}
    parsed = EndpointSpec.parse({"computeTarget": target, **spec, "name": found["metadata"]["name"]})
    present = known.versions if known is not None else {}
    versions = {
        name: version.model_copy(update={"environment_variables": _shown(version, present.get(name))})
        for name, version in parsed.versions.items()
    }
    return parsed.model_copy(update={"versions": versions})


def _shown(version: VersionSpec, known: VersionSpec | None) -> dict[str, str]:
    """Return the environment variables of a version with the values that are hidden in a resource."""
    values = known.environment_variables if known is not None else {}
    return {
        name: values.get(name, value) if value == HIDDEN else value
        for name, value in version.environment_variables.items()
    }


def status_of(record: EndpointRecord, before: Mapping[str, Any] | None, now: datetime) -> dict[str, Any]:
    """Return the status of a custom resource: ours, and a condition in the form that Kubernetes' tools wait for.

    Parameters:
        record: the endpoint.
        before: its status so far; the time of a condition changes only when the condition's status does.
        now: the time in UTC.

    """
    status = record.status
    ready = "True" if status.state is EndpointState.HEALTHY else "False"
    document = status.document()
    problem = status.problem
    known: Mapping[str, Any] = next(
        (one for one in (before or {}).get("conditions") or () if one.get("type") == "Ready"), {}
    )
    since = known["lastTransitionTime"] if known.get("status") == ready else now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        **document,
        **columns(status),
        "rollout": record.rollout.document() if record.rollout is not None else None,
        "conditions": [
            {
                "type": "Ready",
                "status": ready,
                "reason": problem.code if problem is not None and ready == "False" else str(status.state),
                "message": problem.message if problem is not None else _replicas_in_words(status),
                "lastTransitionTime": since,
            }
        ],
    }


def _replicas_in_words(status: EndpointStatus) -> str:
    """Return how many replicas are ready, for versions that wait for some; an empty string when none does."""
    waiting = [
        f"{version.replicas_ready} of {version.replicas_wanted} replicas of version {name!r} are ready"
        for name, version in sorted(status.versions.items())
        if version.replicas_ready < version.replicas_wanted
    ]
    return f"{', '.join(waiting)}." if waiting else ""


def state_secret(name: str, rows: EndpointRows, owner: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """Return the Secret with everything the operator knows of an endpoint: keys, history, rollout, kept revisions."""
    kept = {**rows, "endpoints": [{**row, "status": "{}", "resource_version": 0} for row in rows["endpoints"]]}
    packed = gzip.compress(json.dumps(kept).encode(), mtime=0)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": names.state_secret(name),
            "namespace": namespace,
            "labels": {**names.labels(names.COMPONENT_OPERATOR), names.ENDPOINT_LABEL: name},
            "ownerReferences": [owner_of(owner)],
        },
        "data": {STATE_KEY: base64.b64encode(packed).decode()},
    }


def rows_of(secret: Mapping[str, Any]) -> EndpointRows | None:
    """Return the rows in a state Secret; None when it has none that can be read."""
    try:
        packed = base64.b64decode(secret["data"][STATE_KEY])
        rows = json_value(gzip.decompress(packed))
    except (LookupError, ValueError, TypeError, OSError, EOFError):
        return None
    return rows if isinstance(rows, dict) and rows.get("endpoints") else None


def state_hash(secret: Mapping[str, Any]) -> int:
    """Return a number that differs with the contents of a state Secret, in this process."""
    return hash((secret.get("data") or {}).get(STATE_KEY))


def namespaces_in(found: Mapping[str, Any]) -> set[str]:
    """Return the namespaces that the versions of a custom resource name, as far as they can be read."""
    spec = found.get("spec") or {}
    versions = spec.get("versions") or {}
    placements = [one.get("placement") for one in versions.values() if isinstance(one, Mapping)]
    named = [one.get("namespace") for one in placements if isinstance(one, Mapping)]
    return {name for name in named if isinstance(name, str) and name}


def observed(found: Mapping[str, Any]) -> EndpointStatus:
    """Return the status that the last operator wrote into a custom resource; an empty one when there is none."""
    status = found.get("status") or {}
    try:
        return EndpointStatus.parse({name: status[name] for name in _STATUS if name in status})
    except SpecError:
        return EndpointStatus()


def owner_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the reference with which the objects of an endpoint are deleted together with its custom resource."""
    return {
        "apiVersion": f"{names.GROUP}/{names.API_VERSION}",
        "kind": names.KIND,
        "name": found["metadata"]["name"],
        "uid": found["metadata"]["uid"],
        "blockOwnerDeletion": False,
        "controller": True,
    }
