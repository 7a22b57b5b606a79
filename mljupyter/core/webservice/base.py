"""What all web services have in common (Azure ML v1: Webservice)."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, cast

from mljupyter.core.exceptions import WebserviceException, as_webservice_exception
from mljupyter.core.filters import Filters, matches
from mljupyter.core.usage import models_in_use, registered, release_models
from mljupyter.core.webservice import observing
from mljupyter.core.webservice.configuration import WebserviceDeploymentConfiguration
from mljupyter.core.webservice.described import DescribedWebservice
from mljupyter.core.webservice.scoring import Answer, Scorer
from mljupyter.core.webservice.translate import added_properties, changed_endpoint, merged
from mljupyter.spec import EndpointKind, EndpointRecord, EndpointSpec, EndpointState

if TYPE_CHECKING:
    from mljupyter.core.inference import InferenceConfig
    from mljupyter.core.model import Model
    from mljupyter.core.workspace import Workspace

_ANSWER_MARGIN_SECONDS = 10.0
_MOST_ATTEMPTS = 50
_PAUSE_SECONDS = 0.05


class Webservice(DescribedWebservice):
    """A deployed model: one scoring URI and what stands behind it.

    `Webservice(workspace, name)` returns a `LocalWebservice`, `AciWebservice`, `AksWebservice` or `AksEndpoint`,
    whichever it is.
    What the object shows is as of its last operation; `update_deployment_state` brings it up to date.

    Parameters:
        workspace: the workspace.
        name: the web service's name.

    Raises:
        WebserviceException: `WebserviceNotFound` when there is none of this name, or of this class.

    """

    def __new__(cls, workspace: Workspace, name: str, *_: Any, **__: Any) -> Self:
        """Make an object of the class that the web service's kind calls for."""
        if cls is not Webservice:
            return super().__new__(cls)
        with as_webservice_exception():
            record = workspace.controller.endpoint(name)
        service = object.__new__(_class_of(record.spec.kind))
        service._record = record
        return cast(Self, service)

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._attach(workspace, name)
        if self._record is None:
            with as_webservice_exception():
                self._show(workspace.controller.endpoint(name))

    @staticmethod
    def _of(workspace: Workspace, record: EndpointRecord) -> Webservice:
        """Return the object for a record that was just read."""
        service = object.__new__(_class_of(record.spec.kind))
        service._attach(workspace, record.spec.name)
        service._record = record
        return service

    def _attach(self, workspace: Workspace, name: str) -> None:
        self.workspace = workspace
        self.name = name
        self._record: EndpointRecord | None = self.__dict__.get("_record")
        self._deleted = False
        self._keys: tuple[str, str] | None = None
        self._scorer = Scorer()

    def _show(self, record: EndpointRecord) -> None:
        if record.spec.kind is not self.kind:
            raise WebserviceException(
                f"{self.name!r} is no {type(self).__name__} but of kind {record.spec.kind}: "
                f"use Webservice(workspace, {self.name!r})"
            )
        self._record = record

    @staticmethod
    def list(
        workspace: Workspace,
        compute_type: str | None = None,
        image_name: str | None = None,
        image_id: str | None = None,
        model_name: str | None = None,
        model_id: str | None = None,
        tags: Filters = None,
        properties: Filters = None,
        image_digest: str | None = None,
    ) -> Sequence[Webservice]:
        """Return the web services of a workspace that pass all filters, sorted by name.

        Parameters:
            workspace: the workspace.
            compute_type: LOCAL, ACI, AKS or AKSENDPOINT, in any case.
            model_name, model_id: name, or ``name:version``, of a model it serves.
            tags, properties: a list of keys and of pairs of key and value.
            image_name, image_id, image_digest: an image it was made from; none is made from one on this target.

        """
        if image_name or image_id or image_digest:
            return []
        found = [
            record
            for record in workspace.endpoint_records()
            if (compute_type is None or record.spec.kind == compute_type.upper())
            and observing.serves(record.spec, model_name, model_id)
            and matches(record.spec.tags, tags)
            and matches(record.spec.properties, properties)
        ]
        return [Webservice._of(workspace, record) for record in sorted(found, key=lambda record: record.spec.name)]

    def update_deployment_state(self) -> None:
        """Bring what this object shows up to date.

        Raises:
            WebserviceException: `WebserviceNotFound` when the web service is gone.

        """
        with as_webservice_exception():
            self._show(self.workspace.controller.endpoint(self.name))
            self._deleted = False

    def wait_for_deployment(self, show_output: bool = False, timeout_sec: float | None = None) -> None:
        """Wait until the last operation is done: until the web service is Healthy.

        An interrupt ends the waiting, not the deployment.

        Parameters:
            show_output: print progress and, at the end, a line that starts with Succeeded.
            timeout_sec: seconds to wait at most; None for as long as it takes.

        Raises:
            WebserviceException: when it failed, with the state, the reason and the last lines of its log; when the
                time is up; when the web service was deleted meanwhile.

        """
        self._check_not_deleted()
        say = _say if show_output else _keep_silent
        say("Running")
        try:
            record = observing.follow(self.workspace.controller, self.name, timeout=timeout_sec, tick=lambda: say("."))
        except KeyboardInterrupt:
            say("\n")
            print(f"Interrupted; the deployment of {self.name!r} goes on.")
            raise
        except WebserviceException:
            say("\n")
            raise
        self._show(record)
        if record.status.state is EndpointState.FAILED:
            say("\nFailed\n")
            raise observing.failure(record, str(self.state))
        say(f"\nSucceeded: {self.compute_type} service {self.name!r} is {self.state}\n")

    def run(self, input_data: str | bytes) -> Any:
        """Score: send data to the web service and return what it answers.

        Parameters:
            input_data: the body of the request, usually JSON text.

        Returns:
            The decoded JSON of the answer, or its text where it is no JSON.

        Raises:
            WebserviceException: with status and body of any answer but 200; when there is no answer.

        """
        return self._run(input_data, {})

    def _run(self, input_data: str | bytes, headers: Mapping[str, str]) -> Any:
        if not isinstance(input_data, (str, bytes)):
            raise WebserviceException(
                f"input_data is a {type(input_data).__name__}: it must be text or bytes. "
                "For example: service.run(json.dumps({'data': [[1, 2, 3]]}))"
            )
        body = input_data.encode() if isinstance(input_data, str) else input_data
        answer = self._score(body, headers)
        if answer.status == 401 and self.auth_enabled:
            self._keys = None
            answer = self._score(body, headers)
        if answer.status != 200:
            raise WebserviceException(
                f"{self.name!r} answered with status {answer.status}: {answer.text}\n"
                "Its log says more: service.get_logs()",
                status_code=answer.status,
            )
        try:
            return json.loads(answer.body)
        except ValueError:
            return answer.text

    def get_keys(self) -> tuple[str, str]:
        """Return the primary and the secondary key.

        Raises:
            WebserviceException: when the web service has no key authentication.

        """
        self._check_not_deleted()
        with as_webservice_exception():
            return self.workspace.controller.keys(self.name)

    def regen_key(self, key: str, set_key: str | None = None) -> None:
        """Replace a key; the other one keeps working.

        Parameters:
            key: 'Primary' or 'Secondary'.
            set_key: the new key; None makes one at random.

        Raises:
            WebserviceException: when `key` names none, or the web service has no key authentication.

        """
        self._check_not_deleted()
        which = str(key).lower()
        if which not in ("primary", "secondary"):
            raise WebserviceException(f"key is {key!r}: it must be 'Primary' or 'Secondary'.")
        with as_webservice_exception():
            self.workspace.controller.regenerate_key(
                self.name, "primary" if which == "primary" else "secondary", set_key
            )
        self._keys = None

    def get_token(self) -> tuple[str, datetime]:
        """Raise: this release has no token authentication.

        Raises:
            WebserviceException: always.

        """
        raise WebserviceException(
            f"{self.name!r} has no token authentication: it is not available on target 'local' in this release. "
            "Key authentication is: service.get_keys()"
        )

    def get_logs(self, num_lines: int = 5000, init: bool = False) -> str:
        """Return the last lines of the log.

        Parameters:
            num_lines: how many lines at most.
            init: only what was written while it started.

        """
        self._check_not_deleted()
        with as_webservice_exception():
            return self.workspace.controller.logs(self.name, lines=num_lines, startup=init)

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

    def delete(self) -> None:
        """Delete the web service; its models are free again when this returns.

        Raises:
            WebserviceException: `WebserviceNotFound` when it is gone already.

        """
        self._check_not_deleted()
        with as_webservice_exception():
            self.workspace.controller.delete(self.name)
            release_models(self.workspace, self.name)
        self._deleted = True
        self._scorer.close()

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Change the web service; each kind has arguments of its own.

        Raises:
            WebserviceException: when its kind cannot be changed in place.

        """
        raise WebserviceException(f"A {type(self).__name__} cannot be changed: deploy it anew with overwrite=True.")

    def _check_not_deleted(self) -> None:
        if self._deleted:
            raise WebserviceException(f"WebserviceNotFound: the web service {self.name!r} was deleted.")

    def _score(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        self._check_not_deleted()
        if self._known.status.scoring_uri is None:
            self.update_deployment_state()
        uri = self.scoring_uri
        if uri is None:
            raise WebserviceException(
                f"{self.name!r} is {self.state}: it has no scoring URI yet. First: service.wait_for_deployment()"
            )
        headers = {"Content-Type": "application/json", **headers}
        if self.auth_enabled:
            self._keys = self._keys or self.get_keys()
            headers["Authorization"] = f"Bearer {self._keys[0]}"
        limits = [version.limits for version in self._spec.versions.values()]
        milliseconds = max(item.scoring_timeout_ms + item.max_queue_wait_ms for item in limits)
        return self._scorer.post(uri, body, headers, milliseconds / 1000 + _ANSWER_MARGIN_SECONDS)

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


def _class_of(kind: EndpointKind) -> type[Webservice]:
    from mljupyter.core.webservice.aci import AciWebservice
    from mljupyter.core.webservice.aks import AksWebservice
    from mljupyter.core.webservice.aks_endpoint import AksEndpoint
    from mljupyter.core.webservice.local import LocalWebservice

    classes: tuple[type[Webservice], ...] = (LocalWebservice, AciWebservice, AksWebservice, AksEndpoint)
    return next(candidate for candidate in classes if candidate.kind is kind)


def _say(text: str) -> None:
    print(text, end="", flush=True)


def _keep_silent(text: str) -> None:
    pass
