"""Admission of custom resources: the review of a change before the API server stores it, as a pure function.

The rules are those for every client of the operator, so ``kubectl apply`` shows the sentences of the SDK. A review is
not a security boundary: the operator applies all rules again when it sees the resource, also those that need its state.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from mljupyter.client.errors import InvalidSpecError
from mljupyter.engine.endpoints.rules import refuse_spec, refuse_while_deleting
from mljupyter.engine.rollout.rules import Refusal, refuse_change
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.operator import documents
from mljupyter.spec import EndpointRecord, EndpointSpec, Rollout, SpecError
from mljupyter.spec.difference import masked

API_VERSION = "admission.k8s.io/v1"
_REVIEWED = ("CREATE", "UPDATE")
_LONGEST_MESSAGE = 4000
_UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
# For other codes, kubectl tries again (409) or puts a sentence of its own in front of ours (422).
_REFUSED = 400


def answer(
    review: Mapping[str, Any], *, namespace: str, target: str, namespaces: Collection[str] | None = None
) -> dict[str, Any]:
    """Return the answer to an AdmissionReview.

    Parameters:
        review: the document of the API server.
        namespace: the namespace of the operator. Resources of others are allowed: their own operator decides.
        target: the name of the compute target that the operator serves.
        namespaces: the namespaces that replicas may run in; None for that of the operator.

    Raises:
        InvalidSpecError: when the document is no AdmissionReview that can be answered.

    Example:
        >>> request = {"uid": "1", "operation": "DELETE", "namespace": "mljupyter"}
        >>> answer({"apiVersion": API_VERSION, "request": request}, namespace="mljupyter", target="team")["response"]
        {'uid': '1', 'allowed': True}

    """
    request = review.get("request")
    if review.get("apiVersion") != API_VERSION or not isinstance(request, dict):
        raise InvalidSpecError(f"the document is no AdmissionReview of {API_VERSION} with a request.")
    uid = request.get("uid")
    if not isinstance(uid, str) or not uid:
        raise InvalidSpecError("the request has no uid.")
    try:
        refusal = refuse(request, namespace=namespace, target=target, namespaces=namespaces)
    except (AttributeError, LookupError, TypeError):
        raise InvalidSpecError("the request has not the form of a change of a custom resource.") from None
    response: dict[str, Any] = {"uid": uid, "allowed": refusal is None}
    if refusal is not None:
        response["status"] = {
            "code": _REFUSED,
            "reason": refusal.code,
            "message": refusal.message[:_LONGEST_MESSAGE],
        }
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}


def refuse(
    request: Mapping[str, Any], *, namespace: str, target: str, namespaces: Collection[str] | None = None
) -> Refusal | None:
    """Return the reason why a change of a custom resource is refused; None when it is allowed.

    Parameters:
        request: the request of an AdmissionReview.
        namespace, target, namespaces: as for `answer`.

    """
    if not _is_reviewed(request, namespace):
        return None
    found, earlier = request["object"], request.get("oldObject") or {}
    if earlier and found.get("spec") == earlier.get("spec"):
        return None  # labels, finalizers and the like
    before = _record(earlier, target)
    try:
        spec = documents.spec_of(found, target, before.spec if before is not None else None)
    except SpecError as error:
        return Refusal("InvalidSpec", error.message)
    deleting = bool(earlier and earlier["metadata"].get("deletionTimestamp"))
    return (
        refuse_while_deleting(spec.name, deleting=deleting)
        or (refuse_change(_with_hidden_values(before), _hidden(spec)) if before is not None else None)
        or refuse_spec(
            spec,
            before.spec if before is not None else None,
            [target],
            has_ports=False,
            namespaces=[namespace] if namespaces is None else namespaces,
        )
    )


def _is_reviewed(request: Mapping[str, Any], namespace: str) -> bool:
    """Return whether a request changes the spec of an endpoint of this operator, and comes from somebody else."""
    own = f"system:serviceaccount:{namespace}:{names.OPERATOR}"
    return (
        request["operation"] in _REVIEWED
        and request.get("namespace") == namespace
        and not request.get("subResource")
        and request.get("userInfo", {}).get("username") != own  # it has checked the change before
    )


def _record(found: Mapping[str, Any], target: str) -> EndpointRecord | None:
    """Return the endpoint of a stored resource; None when there is none, or its spec breaks a rule."""
    if not found:
        return None
    try:
        spec = documents.spec_of(found, target, None)
    except SpecError:
        return None
    return EndpointRecord(
        spec=spec,
        status=documents.observed(found),
        generation=int(found["metadata"].get("generation", 1)),
        resource_version=0,
        created_time=_UNKNOWN_TIME,
        updated_time=_UNKNOWN_TIME,
        rollout=_rollout(found),
    )


def _rollout(found: Mapping[str, Any]) -> Rollout | None:
    stored = (found.get("status") or {}).get("rollout")
    try:
        return Rollout.parse(stored) if stored is not None else None
    except SpecError:  # of another release
        return None


def _with_hidden_values(record: EndpointRecord) -> EndpointRecord:
    return record.model_copy(update={"spec": _hidden(record.spec)})


def _hidden(spec: EndpointSpec) -> EndpointSpec:
    """Return a spec without the values of environment variables. A stored resource has none to compare with."""
    return EndpointSpec.parse(masked(spec.document()))
