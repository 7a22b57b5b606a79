"""Choose the builder for a target. If none can be used, the error has a reason for each."""

from __future__ import annotations

from mljupyter.build.images.builder import Builder
from mljupyter.build.images.errors import BuilderUnavailableError
from mljupyter.build.images.plan.context import Store
from mljupyter.build.images.plan.plan import ImagePlan
from mljupyter.build.images.registry.credentials import RegistryCredentials


def builder_for(
    target: str,
    store: Store,
    *,
    plan: ImagePlan | None = None,
    engine_url: str | None = None,
    credentials: tuple[RegistryCredentials, ...] = (),
    prefer: str | None = None,
) -> Builder:
    """Return the builder for a target.

    Parameters:
        target: ``docker`` for images on a Docker engine, ``registry/<host>`` for images in a container registry.
        store: the artifact store.
        plan: the plan to build. Images for a registry are built without an engine where possible.
        engine_url: the address of the engine; None for DOCKER_HOST, else the current context of Docker's command line.
        credentials: credentials of container registries.
        prefer: ``docker`` or ``daemonless``, where both can be used; None for daemonless.

    Raises:
        BuilderUnavailableError: when no builder can be used, with the reason for each.

    """
    from mljupyter.build.images.docker.builder import DockerBuilder  # only the builder that is used
    from mljupyter.build.images.oci.daemonless import DaemonlessBuilder  # only the builder that is used

    if target == "docker":
        return DockerBuilder(store, url=engine_url, credentials=credentials)
    kind, _, host = target.partition("/")
    if kind != "registry" or not host:
        raise BuilderUnavailableError(
            f"{target!r} is not a destination for images: it must be 'docker' or 'registry/<host>', such as "
            "'registry/127.0.0.1:5000'."
        )
    daemonless = DaemonlessBuilder(host, store, credentials)
    reason = daemonless.unavailable(plan) if plan is not None else None
    if reason is None and prefer != "docker":
        return daemonless
    try:
        return DockerBuilder(store, url=engine_url, registry=host, credentials=credentials)
    except BuilderUnavailableError as error:
        if reason is None:
            return daemonless
        raise BuilderUnavailableError(
            f"No builder can make this image.\nWithout an engine: {reason}.\nWith one: {error}"
        ) from error
