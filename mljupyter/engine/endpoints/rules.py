"""Rules that refuse the spec of an endpoint, besides those of the document itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mljupyter.engine.rollout.rules import Refusal
from mljupyter.spec import EndpointKind, EndpointSpec
from mljupyter.spec.difference import HIDDEN


def refuse_spec(
    spec: EndpointSpec,
    before: EndpointSpec | None,
    targets: Sequence[str],
    *,
    has_ports: bool,
    namespaces: Collection[str] | None = None,
) -> Refusal | None:
    """Return the reason why a control plane cannot run an endpoint; None when it can.

    Parameters:
        spec: the desired state.
        before: the present desired state; None for a new endpoint.
        targets: the compute targets that the control plane serves.
        has_ports: whether it can give local web services a port of their own.
        namespaces: the namespaces that replicas may run in; None where there are none.

    """
    if not has_ports and (spec.kind is EndpointKind.LOCAL or spec.port is not None):
        return Refusal(
            "InvalidSpec",
            f"{spec.name!r} is a local web service with a port of its own, and {spec.compute_target!r} is not this "
            "machine. Deploy it to 'local' or 'docker', or use AksWebservice.deploy_configuration().",
        )
    if (refusal := _refuse_hidden_values(spec, before)) is not None:
        return refusal
    if spec.compute_target not in targets:
        known = " and ".join(targets)
        return Refusal(
            "InvalidSpec",
            f"computeTarget: this control plane does not run endpoints on {spec.compute_target!r}, only on {known}.",
        )
    return _refuse_namespace(spec, namespaces)


def _refuse_namespace(spec: EndpointSpec, namespaces: Collection[str] | None) -> Refusal | None:
    """Refuse a namespace that the administrator of the cluster has not allowed."""
    if namespaces is None or spec.namespace is None or spec.namespace in namespaces:
        return None
    return Refusal(
        "InvalidSpec",
        f"endpoint {spec.name!r} names namespace {spec.namespace!r}, and endpoints of {spec.compute_target!r} may run "
        f"in {' and '.join(map(repr, namespaces))} only.\n"
        "Name one of them, or none; or an administrator allows it by attaching the cluster again with\n"
        f"endpoint_namespaces=[{spec.namespace!r}, ...] (--endpoint-namespace {spec.namespace}).",
    )


def refuse_while_deleting(name: str, *, deleting: bool) -> Refusal | None:
    """Return the reason why an endpoint that is being deleted cannot be changed; None for all others."""
    if not deleting:
        return None
    return Refusal("OperationInProgress", f"endpoint {name!r} is being deleted: try again when it is gone.")


def _refuse_hidden_values(spec: EndpointSpec, before: EndpointSpec | None) -> Refusal | None:
    """Refuse the mask that documents show instead of a value, unless it is the present value."""
    present = before.versions if before is not None else {}
    for version, wanted in spec.versions.items():
        known = present[version].environment_variables if version in present else {}
        for name, value in wanted.environment_variables.items():
            if value == HIDDEN and known.get(name) != HIDDEN:
                return Refusal(
                    "InvalidSpec",
                    f"versions.{version}.environmentVariables.{name} is {HIDDEN!r}, which is shown instead of a "
                    f"value. Give the value; mljupyter endpoint show {spec.name} --json --show-secrets prints it.",
                )
    return None
