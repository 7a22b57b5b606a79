"""`apply`: create or change an endpoint on its control plane, as one transaction with the catalog.

Models and images must not be deleted while an endpoint uses them. Each function here holds the stored content, adds
references to it, makes the change, and then removes references that are no longer needed. Nothing else in the product
changes endpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from mljupyter.client.errors import EndpointBusyError, EndpointChangedError
from mljupyter.deploy.access import OPEN_IN_WORDS, openings, with_access_of
from mljupyter.deploy.plan import DeploymentPlan, check_content, find
from mljupyter.deploy.references import in_use, release
from mljupyter.engine.rollout.rules import rollback_target
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import WebserviceException
from mljupyter.ownership import user_name
from mljupyter.spec import EndpointRecord, EndpointSpec, SpecError
from mljupyter.spec.names import SERVICE
from mljupyter.workspace.context import WorkspaceContext

_MOST_ATTEMPTS = 50
_LONGEST_PAUSE_SECONDS = 0.05


def apply(context: WorkspaceContext, plan: DeploymentPlan, *, overwrite: bool = True) -> EndpointRecord:
    """Create or replace the endpoint of a plan; return at once, while its replicas start.

    The present endpoint serves until the new one does, and keeps its keys unless the plan has others.

    Parameters:
        context: the workspace.
        plan: a plan with nothing left to build.
        overwrite: whether an endpoint of the same name may be replaced.

    Raises:
        EndpointExistsError: there is an endpoint of this name, and `overwrite` is not set.
        EndpointChangedError: the endpoint was changed since the plan was made; nothing is changed now.
        WebserviceException: stored content of the plan was removed since.

    """
    with context.artifacts.hold():
        _check_stored(context, plan.wanted)
        with in_use(context, plan.wanted.name, plan.wanted):
            generation = None if plan.present is None else plan.present.generation
            if plan.is_change:
                return context.endpoints.replace(plan.wanted, generation=generation)
            return context.endpoints.create(
                plan.wanted,
                overwrite=overwrite,
                generation=generation,
                primary_key=plan.primary_key,
                secondary_key=plan.secondary_key,
            )


def apply_specification(context: WorkspaceContext, document: Mapping[str, Any] | EndpointSpec) -> EndpointRecord:
    """Create an endpoint from a document, or change the endpoint of that name to it; return at once.

    A document that names neither authentication nor TLS leaves those of the endpoint; all its other settings are those
    of the document, with defaults for fields that are missing.

    Parameters:
        context: the workspace.
        document: the specification, with camelCase keys.

    Raises:
        SpecError: the document breaks a rule.
        WebserviceException: it names a model or code that is not in the workspace.

    """
    spec = document if isinstance(document, EndpointSpec) else EndpointSpec.parse(document)
    SERVICE.check(spec.name)
    target = context.serving_target(spec.compute_target).name
    spec = spec.model_copy(update={"compute_target": target, "created_by": spec.created_by or user_name()})
    if (present := find(context, spec.name)) is not None:
        try:
            spec = with_access_of(present.spec, spec)
        except SpecError as error:
            raise SpecError(f"{error.message}\n{OPEN_IN_WORDS}") from None
        for warning in openings(present.spec, spec):
            print(f"Warning: {warning}")
    check_content(context, spec)
    return apply(context, DeploymentPlan(spec, None))


def change(
    context: WorkspaceContext,
    name: str,
    change: Callable[[EndpointSpec], EndpointSpec],
    *,
    even_unchanged: bool = False,
) -> EndpointRecord:
    """Change the present endpoint; return at once.

    Optimistic locking: if the endpoint was changed concurrently, the change is repeated on the newer endpoint.

    Parameters:
        context: the workspace.
        name: the endpoint.
        change: returns the endpoint after the change.
        even_unchanged: apply it even if nothing changes, so that a failed endpoint is started again.

    Raises:
        EndpointNotFoundError: there is no such endpoint.
        EndpointChangedError: it was changed concurrently each time, up to 50 times.

    """
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random  # 20 ms of imports

    def once() -> EndpointRecord:
        record = context.endpoints.endpoint(name)
        wanted = change(record.spec)
        if wanted == record.spec and not even_unchanged:
            return record
        return replace(context, wanted, generation=record.generation)

    attempts = Retrying(
        retry=retry_if_exception_type(EndpointChangedError),
        stop=stop_after_attempt(_MOST_ATTEMPTS),
        wait=wait_random(0, _LONGEST_PAUSE_SECONDS),  # random, so that colliding changes do not collide again
        reraise=True,
    )
    return attempts(once)


def replace(context: WorkspaceContext, spec: EndpointSpec, *, generation: int | None) -> EndpointRecord:
    """Replace the spec of an endpoint; return at once.

    Parameters:
        context: the workspace.
        spec: the endpoint after the change.
        generation: the generation that the change was made from; None replaces any.

    Raises:
        EndpointChangedError: the endpoint has another generation; nothing is changed.

    """
    with context.artifacts.hold(), in_use(context, spec.name, spec):
        return context.endpoints.replace(spec, generation=generation)


def rollback(
    context: WorkspaceContext, record: EndpointRecord, number: int | None, generation: int | None = None
) -> EndpointRecord:
    """Restore an entry of an endpoint's history; return at once.

    Parameters:
        context: the workspace.
        record: the endpoint as it was read.
        number: the number of the entry; None for the newest one that differs from the present state.
        generation: if the endpoint has another generation now, the rollback is refused; None for that of the record.

    Raises:
        ControllerError: there is no such entry, or the endpoint was changed concurrently.

    """
    name = record.spec.name
    entry = rollback_target(context.endpoints.history(name), record.spec, number)
    with in_use(context, name, entry.spec if entry is not None else record.spec):
        wanted = entry.number if entry is not None else number
        return context.endpoints.rollback(
            name, wanted, generation=record.generation if generation is None else generation
        )


def delete(context: WorkspaceContext, name: str) -> None:
    """Delete an endpoint; its models and images are released when this returns.

    Raises:
        EndpointNotFoundError: there is no such endpoint.

    """
    context.endpoints.delete(name)
    with suppress(MLJupyterError):  # it is deleted: garbage collection releases what is left
        release(context, name)


def undo(context: WorkspaceContext, name: str, before: EndpointRecord | None) -> str:
    """Undo a deployment that is under way, and return one sentence about the endpoint as it is now.

    Parameters:
        context: the workspace.
        name: the endpoint.
        before: the endpoint before the deployment; None when it was new.

    """
    changed_since = f"It was changed concurrently, so it stays as it is now: see %endpoints and %logs {name}."
    now = find(context, name)
    if now is None:
        return "Nothing was deployed; the endpoint does not exist."
    if before is None:
        delete(context, name)
        return "It was new, and was deleted."
    if now.generation == before.generation:
        return "Nothing was deployed; the endpoint is unchanged."
    if now.generation != before.generation + 1 or now.deleting:
        return changed_since
    try:
        replace(context, before.spec, generation=now.generation)
    except (EndpointChangedError, EndpointBusyError):
        return changed_since
    return "It is being restored to its previous state, which has kept serving."


def _check_stored(context: WorkspaceContext, spec: EndpointSpec) -> None:
    """Refuse a plan whose content was removed between `prepare` and now."""
    for version in spec.versions.values():
        digests = [model.digest for model in version.models if not model.version]  # the others are in use
        digests += [version.code.digest] if version.code is not None and version.image is None else []
        if missing := [digest for digest in digests if not context.artifacts.exists(digest)]:
            raise WebserviceException(
                f"A model or script of {spec.name!r} was deleted from the workspace after the plan was made "
                f"({missing[0][:19]}).\n"
                "Nothing was deployed. Deploy again."
            )
