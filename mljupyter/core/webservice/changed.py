"""Change a web service, as it is at that moment, whoever else changes it (Azure ML v1: Webservice)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mljupyter.core.exceptions import WebserviceException, as_webservice_exception
from mljupyter.core.usage import models_in_use, registered
from mljupyter.core.webservice.configuration import WebserviceDeploymentConfiguration
from mljupyter.core.webservice.described import DescribedWebservice
from mljupyter.core.webservice.translate import added_properties, changed_endpoint, merged
from mljupyter.spec import EndpointSpec

if TYPE_CHECKING:
    from mljupyter.core.inference import InferenceConfig
    from mljupyter.core.model import Model

_MOST_ATTEMPTS = 50
_PAUSE_SECONDS = 0.05


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

    def _replace(self, change: Callable[[EndpointSpec], EndpointSpec], *, again: bool = False) -> None:
        """Change the spec as it is now; `again` hands it over even if nothing changes: what failed is tried again.

        Of several that change it at once, one after the other does so: who comes too late reads what there is now, and
        makes the same change of that.
        """
        from mljupyter.controller.errors import EndpointChangedError

        self._check_not_deleted()
        for attempt in range(_MOST_ATTEMPTS):
            self.update_deployment_state()
            with as_webservice_exception():
                spec = change(self._spec)
                if spec == self._spec and not again:
                    return
                try:
                    with models_in_use(self.workspace, self.name, registered(spec)):
                        self._show(self.workspace.controller.replace(spec, generation=self._known.generation))
                    return
                except EndpointChangedError:
                    if attempt == _MOST_ATTEMPTS - 1:
                        raise
            time.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311 - so that those who collided part

    def _update(
        self,
        configuration: WebserviceDeploymentConfiguration,
        *,
        image: Any = None,
        models: Sequence[Model | str] | None = None,
        inference_config: InferenceConfig | None = None,
        change: Callable[..., EndpointSpec] = changed_endpoint,
    ) -> None:
        """Do what the kinds' `update` methods have in common; `change` makes the new spec, as `changed_endpoint`."""
        from mljupyter.core import deployment

        self._check_not_deleted()
        if image is not None:
            raise WebserviceException(
                "image is given: images are not available on target 'local' in this release.\n"
                "Available: models and inference_config."
            )
        if models is not None and inference_config is None:
            raise WebserviceException(
                "models are given without inference_config: give both. Only web services without a scoring script "
                "are updated with models alone."
            )
        if not configuration.given() and inference_config is None:
            raise WebserviceException("update() without arguments: give what is to change.")
        deployment.print_without_effect(configuration)
        if inference_config is None:
            self._replace(lambda spec: change(spec, configuration, None))
            return
        with as_webservice_exception(), self.workspace.artifacts.hold():
            served = deployment.what_is_served(
                self.workspace,
                self._version.models if models is None else models,
                inference_config,
                kind=self.kind,
                service=self.name,
                target=self._spec.compute_target,
            )
            self._replace(lambda spec: change(spec, configuration, served), again=True)
