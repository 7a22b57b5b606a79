"""Change a web service, as it is at that moment, whoever else changes it (Azure ML v1: Webservice)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from mljupyter.core.webservice.configuration import WebserviceDeploymentConfiguration
from mljupyter.core.webservice.described import DescribedWebservice
from mljupyter.deploy import apply
from mljupyter.deploy.build import build_version
from mljupyter.deploy.prepare import Prepared, ready
from mljupyter.deploy.spec_builder import added_properties, changed_endpoint, merged
from mljupyter.deploy.versions import known_version
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.spec import EndpointSpec, ModelReference

if TYPE_CHECKING:
    from mljupyter.core.inference import InferenceConfig
    from mljupyter.core.model import Model


class ChangedWebservice(DescribedWebservice):
    """What of a web service changes what it is."""

    def add_tags(self, tags: dict[str, str]) -> None:
        """Add tags, or change the values of those that exist."""
        self._replace(lambda spec: merged(spec, tags={**spec.tags, **tags}))

    def remove_tags(self, tags: Sequence[str]) -> None:
        """Remove tags by their keys; those that do not exist are passed over."""
        keys = {tags} if isinstance(tags, str) else set(tags)
        self._replace(
            lambda spec: merged(spec, tags={key: value for key, value in spec.tags.items() if key not in keys})
        )

    def add_properties(self, properties: dict[str, str]) -> None:
        """Add properties.

        Raises:
            WebserviceException: when one exists already: properties do not change.

        """
        self._replace(lambda spec: merged(spec, properties=added_properties(spec.properties, properties)))

    def limit_rate(self, requests_per_second: int | None, burst: int | None = None) -> None:
        """Let so many requests a second pass, by whichever way; more are answered 429.

        Parameters:
            requests_per_second: how many; None for as many as there are.
            burst: how many at once before that counts; by default those of one second.

        Raises:
            WebserviceException: when a number is not above 0.

        """
        limit = (
            None
            if requests_per_second is None
            else {"requestsPerSecond": requests_per_second, **({} if burst is None else {"burst": burst})}
        )
        self._replace(lambda spec: EndpointSpec.parse({**spec.document(), "rateLimit": limit}))

    def restart(self, version: str | None = None) -> None:
        """Replace all replicas with new ones of the same version; requests are answered meanwhile.

        Returns at once; `wait_for_deployment` waits.

        Parameters:
            version: only this version of an endpoint.

        Raises:
            WebserviceException: when there is no such version.

        """
        self._replace(partial(_restarted, version=version))

    def _replace(self, change: Callable[[EndpointSpec], EndpointSpec], *, again: bool = False) -> None:
        """Change the spec as it is now; `again` hands it over even if nothing changes, so that a failed one is retried.

        See `mljupyter.deploy.apply.change` for concurrent changes.
        """
        self._check_not_deleted()

        def changed(spec: EndpointSpec) -> EndpointSpec:
            self._check_kind(spec)
            return change(spec)

        with as_webservice_exception():
            self._show(apply.change(self.workspace.context, self.name, changed, even_unchanged=again))

    def _update(
        self,
        configuration: WebserviceDeploymentConfiguration,
        *,
        image: Any = None,
        image_config: Any = None,
        models: Sequence[Model | str] | None = None,
        inference_config: InferenceConfig | None = None,
        models_alone: bool | None = None,
        change: Callable[..., EndpointSpec] = changed_endpoint,
    ) -> None:
        """Do what the kinds' `update` methods have in common; `change` makes the new spec, as `changed_endpoint`.

        `models_alone` says whether models may come without inference_config; by default, whether they have so far.
        """
        from mljupyter.core import deployment

        self._check_not_deleted()
        sources = {"image": image, "image_config": image_config, "inference_config": inference_config}
        given = [name for name, value in sources.items() if value is not None]
        if len(given) > 1 or (image is not None and models is not None):
            given += [] if models is None else ["models"]
            raise WebserviceException(f"{', '.join(given)} exclude each other: an image has script and models in it.")
        without_script = self._version.no_code is not None if models_alone is None else models_alone
        if models is not None and not given and not without_script:
            raise WebserviceException(
                "models are given without inference_config: give both. Only web services without a scoring script "
                "are updated with models alone."
            )
        given += [] if models is None else ["models"]
        if not configuration.given() and not given:
            raise WebserviceException("update() without arguments: give what is to change.")
        deployment.print_without_effect(configuration, self.workspace.context.target(self._spec.compute_target))
        if configuration.given().get("enable_app_insights"):
            self.workspace.telemetry.adopt_environment()
        if not given:
            self._replace(lambda spec: change(spec, configuration, None))
            return
        with as_webservice_exception(), self.workspace.artifacts.hold():
            prepared = self._prepared(image, image_config, inference_config, models)
            content = build_version(self.workspace.context, prepared)
            self._replace(lambda spec: change(spec, configuration, content), again=True)

    def _prepared(
        self,
        image: Any,
        image_config: Any,
        inference_config: InferenceConfig | None,
        models: Sequence[Model | str] | None,
    ) -> Prepared:
        from mljupyter.core import deployment, image_deployment

        target = self.workspace.context.target(self._spec.compute_target)
        if image is not None:
            return ready(image_deployment.content_of(self.workspace, image, target), self.name, target)
        present = self._version.models if models is None else models
        if image_config is None:
            return deployment.prepare_version(
                self.workspace, present, inference_config, kind=self.kind, service=self.name, target=target
            )
        ids = [model.id if isinstance(model, ModelReference) else model for model in present]
        content = image_deployment.content_made_of(self.workspace, self.name, ids, image_config, target)
        return ready(content, self.name, target)


def _restarted(spec: EndpointSpec, version: str | None) -> EndpointSpec:
    """Return the spec with a higher `reload` of one version or of all, which replaces its replicas."""
    chosen = {name: known_version(spec, name) for name in ([version] if version is not None else spec.versions)}
    versions = {name: found.model_copy(update={"reload": found.reload + 1}) for name, found in chosen.items()}
    return spec.model_copy(update={"versions": {**spec.versions, **versions}})
