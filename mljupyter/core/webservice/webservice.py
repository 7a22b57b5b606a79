"""Web services: deployed models that answer requests at one scoring URI.

Azure: azureml.core.webservice.webservice.
"""

from __future__ import annotations

import builtins
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from mljupyter import core, deploy
from mljupyter.core.display import HtmlRepr, Rows, date_text, pairs, snippets_html
from mljupyter.core.filters import Filters, matches
from mljupyter.core.payloads import payload_text
from mljupyter.core.webservice import collected
from mljupyter.core.webservice.access_token import AksServiceAccessToken
from mljupyter.core.webservice.configuration import (
    LocalWebserviceDeploymentConfiguration,
    WebserviceDeploymentConfiguration,
)
from mljupyter.durations import seconds_of, seconds_since
from mljupyter.engine.endpoints.client_snippets import PLACEHOLDER, ClientSnippets, client_snippets
from mljupyter.engine.endpoints.unknown_endpoint import unknown_endpoint
from mljupyter.engine.requests.encoder import EncodingError, is_table, request_text
from mljupyter.engine.requests.form import example_request, rows_are_objects
from mljupyter.engine.requests.parts import body_limit, size_problem
from mljupyter.engine.rollout.traffic import shares_text
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.ownership import user_name
from mljupyter.registry.errors import ImageNotFoundError
from mljupyter.spec import (
    Authentication,
    EndpointKind,
    EndpointRecord,
    EndpointSpec,
    EndpointState,
    ModelReference,
    ScalingDecision,
    VersionSpec,
)
from mljupyter.spec.collected import CollectedFile, chosen
from mljupyter.spec.history import HistoryEntry
from mljupyter.spec.router import VERSION_HEADERS
from mljupyter.spec.version import ModelDelivery
from mljupyter.telemetry.metrics.figures import figure
from mljupyter.telemetry.metrics.frame import data_frame
from mljupyter.visible import printable

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from mljupyter.client.reach import Reach
    from mljupyter.client.scorer import Answer, Scorer
    from mljupyter.core import ComputeTarget, Environment, Image, InferenceConfig, LocalWebservice, Model, Workspace
    from mljupyter.core.image import ImageConfig
    from mljupyter.deploy.prepare import Prepared
    from mljupyter.durations import Duration

_ANSWER_MARGIN_SECONDS = 10.0
_UNAVAILABLE = (502, 503, 504)
_CHANGE_SECONDS = 600.0  # a request waits this long for a change that was made before
_KINDS_OF_AZURE = ("IOT", "MIR")
_GROUPINGS = ("version", "endpoint", "replica")


class EndpointAttributes(HtmlRepr):
    """Read-only attributes of an endpoint's record: those that a web service and one of its versions both have."""

    kind: ClassVar[EndpointKind]
    workspace: Workspace
    name: str
    _record: EndpointRecord | None
    _deleted: bool

    @property
    def state(self) -> str | None:
        """Transitioning, Healthy, Unhealthy, Unschedulable, Failed or Deleting; as of the last operation."""
        if self._deleted:
            return EndpointState.DELETING.value
        return self._record.status.state.value if self._record else None

    @property
    def error(self) -> str | None:
        """The problem, with the last lines of the log; None when there is none."""
        return deploy.wait.problem_text(self._record, self._script(self._record)) if self._record else None

    def _script(self, record: EndpointRecord) -> str:
        """Return what the user calls the scoring script that failed."""
        return str(deploy.cell_script.place_of(self.workspace.artifacts, record))

    @property
    def description(self) -> str | None:
        """The description."""
        return self._spec.description

    @property
    def tags(self) -> dict[str, str]:
        """The tags, a copy."""
        return dict(self._spec.tags)

    @property
    def properties(self) -> dict[str, str]:
        """The properties, a copy."""
        return dict(self._spec.properties)

    @property
    def enable_app_insights(self) -> bool:
        """True if requests and the script's log are recorded."""
        return self._version.app_insights_enabled

    @property
    def created_time(self) -> datetime:
        """The time of the first deployment, in UTC."""
        return self.record.created_time

    @property
    def updated_time(self) -> datetime:
        """The time of the last change, in UTC."""
        return self.record.updated_time

    @property
    def created_by(self) -> str | None:
        """The user who deployed it."""
        return self._spec.created_by

    @property
    def compute_type(self) -> str:
        """LOCAL, ACI, AKS or AKSENDPOINT."""
        return self.kind.value

    @property
    def auth_enabled(self) -> bool:
        """True if requests need a key."""
        return self._spec.authentication is Authentication.KEY

    @property
    def token_auth_enabled(self) -> bool:
        """True if requests need a token."""
        return self._spec.authentication is Authentication.TOKEN

    @property
    def authentication_needed(self) -> bool:
        """True if requests need a key or a token."""
        return self._spec.authentication is not Authentication.NONE

    @property
    def scoring_uri(self) -> str | None:
        """The URI that requests are sent to with POST; None until it is known."""
        return self.record.status.scoring_uri

    @property
    def swagger_uri(self) -> str | None:
        """The URI of the description of its API; None until it is known."""
        return self.record.status.swagger_uri

    @property
    def models(self) -> Sequence[Model]:
        """The models that it serves."""
        return [core.Model.from_reference(self.workspace, reference) for reference in self._version.models]

    @property
    def image(self) -> Image | None:
        """The registered image that its replicas are started from; None if replicas are processes."""
        if self.image_id is None:
            return None
        try:
            return core.Image.from_record(self.workspace, self.workspace.registry.images.get_by_id(self.image_id))
        except ImageNotFoundError:
            return None

    @property
    def image_id(self) -> str | None:
        """``name:version`` of its image; None if replicas are processes."""
        return self._version.image_id

    @property
    def image_digest(self) -> str | None:
        """The digest of its image; None if there is none."""
        return self.image.image_digest if self.image is not None else None

    @property
    def environment(self) -> Environment | None:
        """The environment in its image; None if there is none."""
        return self.image.environment if self.image is not None else None

    @property
    def record(self) -> EndpointRecord:
        """The endpoint's record as of the last operation.

        Raises:
            WebserviceException: `WebserviceNotFound`: there was no such endpoint.

        """
        if self._record is None:
            raise WebserviceException(f"WebserviceNotFound: {unknown_endpoint(self.name, self.workspace.webservices)}")
        return self._record

    def serialize(self) -> dict[str, Any]:
        """Return all attributes as JSON types, without keys."""
        return {
            "name": self.name,
            "computeType": self.compute_type,
            "state": self.state,
            "error": self.error,
            "description": self.description,
            "tags": self.tags,
            "properties": self.properties,
            "createdTime": self.created_time.isoformat(),
            "updatedTime": self.updated_time.isoformat(),
            "createdBy": self.created_by,
            "authEnabled": self.auth_enabled,
            "tokenAuthEnabled": self.token_auth_enabled,
            "appInsightsEnabled": self.enable_app_insights,
            "scoringUri": self.scoring_uri,
            "swaggerUri": self.swagger_uri,
            "modelIds": [reference.id for reference in self._version.models],
            "imageId": self.image_id,
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name}, compute_type={self.compute_type}, state={self.state})"

    @property
    def _spec(self) -> EndpointSpec:
        return self.record.spec

    @property
    def _version(self) -> VersionSpec:
        return self._spec.versions[self._spec.default_version]


class Webservice(EndpointAttributes):
    """A deployed model: one scoring URI with the replicas behind it.

    `Webservice(workspace, name)` returns a `LocalWebservice`, `AciWebservice`, `AksWebservice` or `AksEndpoint`,
    depending on its kind. The attributes are as of the object's last operation; `update_deployment_state` reads them
    again.

    Parameters:
        workspace: the workspace.
        name: the web service's name.

    Raises:
        WebserviceException: `WebserviceNotFound` when there is none of this name, or it is of another class.

    """

    _classes: ClassVar[dict[EndpointKind, type[Webservice]]] = {}
    _takes_objects: tuple[int, bool] | None = None  # the generation of the endpoint, and the answer for it
    _known_example: tuple[int, str | None] | None = None  # the same of the example in its description
    _unsettled: frozenset[str] | None = None  # the versions of this object's last change, until it has ended
    _keys: tuple[str, str] | None = None
    _token: AksServiceAccessToken | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register a class for the kind of web service that it sets."""
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            Webservice._classes[cls.kind] = cls

    def __new__(cls, workspace: Workspace, name: str, *_: Any, **__: Any) -> Self:
        """Make an object of the class that belongs to the web service's kind."""
        if cls is not Webservice:
            return super().__new__(cls)
        with as_webservice_exception():
            record = workspace.endpoints.endpoint(name)
        service = object.__new__(Webservice.class_of(record.spec.kind))
        service._record = record
        return cast(Self, service)

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._attach(workspace, name)
        if self._record is None:
            with as_webservice_exception():
                self._show(workspace.endpoints.endpoint(name))

    @staticmethod
    def from_record(workspace: Workspace, record: EndpointRecord, *, replaced: bool = False) -> Webservice:
        """Return the object for an endpoint's record, of the class that belongs to its kind.

        Parameters:
            workspace: the workspace.
            record: the record, as it was just read.
            replaced: whether it was just deployed in place of another one; the first request waits for that.

        """
        service = object.__new__(Webservice.class_of(record.spec.kind))
        service._attach(workspace, record.spec.name)
        service._record = record
        service._unsettled = frozenset(record.spec.versions) if replaced else None
        return service

    @staticmethod
    def class_of(kind: EndpointKind) -> type[Webservice]:
        """Return the class for a kind of web service."""
        return Webservice._classes[kind]

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
            compute_type: LOCAL, ACI, AKS or AKSENDPOINT, in any case. There are none of IOT and MIR.
            model_name, model_id: name, or ``name:version``, of a model that it serves.
            tags, properties: a list of keys and of pairs of key and value.
            image_name, image_id, image_digest: name, ``name:version`` or digest of its image.

        Raises:
            WebserviceException: `compute_type` or a filter has another form.

        """
        kinds = (*Webservice._classes, *_KINDS_OF_AZURE)
        if compute_type is not None and str(compute_type).upper() not in kinds:
            raise WebserviceException(
                f"compute_type is {compute_type!r}: it must be one of {', '.join(sorted(kinds))}."
            )
        if image_digest is not None:
            images = workspace.registry.images.list()
            ids = {image.id for image in images if image.digest == image_digest}
        else:
            ids = None
        found = [
            record
            for record in workspace.endpoint_records()
            if (compute_type is None or record.spec.kind == compute_type.upper())
            and deploy.wait.serves(record.spec, model_name, model_id)
            and deploy.wait.serves_from(record.spec, image_name, image_id, ids)
            and matches(record.spec.tags, tags)
            and matches(record.spec.properties, properties)
        ]
        found.sort(key=lambda record: record.spec.name)
        return [Webservice.from_record(workspace, record) for record in found]

    # Deploying an image.

    @staticmethod
    def deploy(
        workspace: Workspace,
        name: str,
        model_paths: Sequence[str],
        image_config: ImageConfig,
        deployment_config: WebserviceDeploymentConfiguration | None = None,
        deployment_target: ComputeTarget | str | None = None,
        overwrite: bool = False,
    ) -> Webservice:
        """Register models, build an image of them and deploy it; see `deploy_from_model`.

        Parameters:
            model_paths: files or directories; each is registered under its own name.

        All other parameters are those of `deploy_from_model`.

        """
        return Webservice.deploy_from_model(
            workspace, name, model_paths, image_config, deployment_config, deployment_target, overwrite
        )

    @staticmethod
    def deploy_from_model(
        workspace: Workspace,
        name: str,
        models: Sequence[Model | str],
        image_config: ImageConfig,
        deployment_config: WebserviceDeploymentConfiguration | None = None,
        deployment_target: ComputeTarget | str | None = None,
        overwrite: bool = False,
    ) -> Webservice:
        """Build an image with the web service's name and deploy it; return when the image is ready.

        Parameters:
            workspace: the workspace.
            name: the name of the web service, as in `Model.deploy`, and of the image.
            models: models, ids ``name:version``, or paths, which are registered first.
            image_config: from `ContainerImage.image_configuration`.
            deployment_config, deployment_target, overwrite: as in `deploy_from_image`.

        Raises:
            WebserviceException: the name is taken, a rule is broken, or the image cannot be built.

        """
        core.deployment.check_new_name(workspace, name, overwrite=overwrite)
        image = core.Image.create(workspace, name, models, image_config)
        return core.deployment.deploy_image(
            workspace, name, image, deployment_config, deployment_target, overwrite=overwrite
        )

    @staticmethod
    def deploy_from_image(
        workspace: Workspace,
        name: str,
        image: Image | str,
        deployment_config: WebserviceDeploymentConfiguration | None = None,
        deployment_target: ComputeTarget | str | None = None,
        overwrite: bool = False,
    ) -> Webservice:
        """Deploy an image; return when the image is ready, while the web service starts.

        A later version of the image changes nothing by itself; `update(image=...)` deploys it.

        Parameters:
            workspace: the workspace.
            name: the web service's name, as in `Model.deploy`.
            image: an image, its id ``name:version``, or its name for the newest version.
            deployment_config: kind and settings; None for an ACI web service with its defaults.
            deployment_target: the compute target; None for the Docker engine.
            overwrite: replace the web service of that name, if there is one.

        Raises:
            WebserviceException: the name is taken, a rule is broken, or the image could not be built.

        """
        return core.deployment.deploy_image(
            workspace, name, image, deployment_config, deployment_target, overwrite=overwrite
        )

    @staticmethod
    def deploy_local_from_model(
        workspace: Workspace,
        name: str,
        models: Sequence[Model | str],
        image_config: ImageConfig,
        deployment_config: LocalWebserviceDeploymentConfiguration | None = None,
        wait: bool = False,
    ) -> LocalWebservice:
        """Build an image and deploy it as a local web service, in a container.

        Parameters:
            workspace, name, models, image_config: as in `deploy_from_model`.
            deployment_config: from `LocalWebservice.deploy_configuration`.
            wait: return when the web service is running.

        Raises:
            WebserviceException: the name is taken, a rule is broken, or the image cannot be built.

        """
        service = core.deployment.deploy_local_image(workspace, name, models, image_config, deployment_config)
        if wait:
            service.wait_for_deployment()
        return service

    @staticmethod
    def check_for_existing_webservice(
        workspace: Workspace, name: str, overwrite: bool = False, request_func: Any = None, check_func: Any = None
    ) -> None:
        """Raise an error if there is a web service of this name, unless it may be overwritten.

        Parameters:
            workspace: the workspace.
            name: the name.
            overwrite: True to raise nothing.
            request_func, check_func: not called.

        Raises:
            WebserviceException: there is a web service of this name.

        Azure: `request_func` and `check_func` search the name in the cloud.

        """
        core.deployment.check_name_is_free(workspace, name, overwrite=overwrite)

    # The state of the deployment.

    @staticmethod
    def deserialize(workspace: Workspace, webservice_payload: Mapping[str, Any]) -> Webservice:
        """Return the web service that `serialize` has described.

        Parameters:
            workspace: the workspace.
            webservice_payload: the JSON types of `serialize`.

        Raises:
            WebserviceException: `WebserviceNotFound`: there is no such web service here; the payload has no name.

        Example:
            >>> Webservice.deserialize(ws, service.serialize())     # doctest: +SKIP

        """
        return core.Webservice(workspace, payload_text(webservice_payload, "name", "a web service"))

    def update_deployment_state(self) -> None:
        """Read the attributes of this object again.

        Raises:
            WebserviceException: `WebserviceNotFound`: the web service does not exist any more.

        """
        with as_webservice_exception():
            self._show(self.workspace.endpoints.endpoint(self.name))
            self._deleted = False

    def wait_for_deployment(self, show_output: bool = False, timeout_sec: float | None = None) -> None:
        """Wait until the last deployment or change is done: until the web service is Healthy.

        An interrupt ends the waiting, not the deployment.

        Parameters:
            show_output: print progress, why it cannot start yet, and at the end a line that starts with Succeeded.
            timeout_sec: seconds to wait at most; None for no limit.

        Raises:
            WebserviceException: it failed, with the state, the reason and the last lines of its log; the timeout has
                passed; the web service was deleted while waiting.

        """
        self._check_not_deleted()
        say = _say if show_output else deploy.wait.keep_silent
        say("Running")
        try:
            record = deploy.wait.follow(
                self.workspace.endpoints,
                self.name,
                timeout=timeout_sec,
                tick=lambda: say("."),
                on_record=deploy.wait.told_once(lambda cause: say(f"\n{cause}\n")),
            )
        except KeyboardInterrupt:
            say("\n")
            print(f"Interrupted; the deployment of {self.name!r} goes on.")
            raise
        except WebserviceException:
            say("\n")
            raise
        self._show(record)
        self._unsettled = None
        if record.status.state in deploy.wait.NOT_DEPLOYED:
            say("\nFailed\n")
            raise deploy.wait.failure(record, str(self.state), place=self._script(record))
        say(f"\nSucceeded: {self.compute_type} service {self.name!r} is {self.state}\n")

    def delete(self) -> None:
        """Delete the web service; its models and its image can be deleted when this returns.

        Raises:
            WebserviceException: `WebserviceNotFound`: it was deleted before.

        """
        self._check_not_deleted()
        with as_webservice_exception():
            deploy.apply.delete(self.workspace.context, self.name)
        self._deleted = True
        self._scorer.close()

    # Requests.

    def run(self, input_data: Any) -> Any:
        """Send a request to the web service and return its answer.

        A change that was made with this object before, such as ``update()``, is waited for, so that the answer is that
        of the new script and models. An answer that comes in pieces is returned as a whole.

        Parameters:
            input_data: the body of the request, usually JSON text; or a table, which is sent as ``{"data": rows}``: a
                DataFrame, an array, a sparse matrix, or a table of pyarrow. `score_batch` sends a large one in parts.

        Returns:
            The decoded JSON of the answer, or its text if it is not JSON.

        Raises:
            WebserviceException: there is no answer, or an answer other than 200; the message has its status and body.
                Or the change before has failed, which is said once, or has not ended within 10 minutes.

        Example:
            >>> service.run('{"data": [[1, 2, 3]]}')                                             # doctest: +SKIP

        """
        return self._run(input_data, {})

    def takes_objects(self) -> bool:
        """Return whether its rows are objects with the names of columns, as the description of its API says.

        Tables are sent like that then. The description is read once for each change of the endpoint, after the change.

        Raises:
            WebserviceException: the endpoint does not answer now, so that the form of its rows is not known.

        """
        if self._unsettled is not None:
            self._settle(self._unsettled)
        if self._takes_objects is None or self._takes_objects[0] != self.record.generation:
            try:
                found = rows_are_objects(self.get_swagger())
            except WebserviceException as error:
                if error.status_code in _UNAVAILABLE:
                    raise
                if error.status_code is None:  # it is not ready or cannot be reached: the request itself says so
                    return False
                found = False  # it has no description: a server of the user's own
            self._takes_objects = (self.record.generation, found)
        return self._takes_objects[1]

    def _run(self, input_data: Any, headers: Mapping[str, str]) -> Any:
        if is_table(input_data):
            try:
                input_data = request_text(input_data, by_name=self.takes_objects())
            except EncodingError as error:
                raise WebserviceException(f"input_data cannot be written as JSON: {error.message}.") from None
        if not isinstance(input_data, (str, bytes)):
            raise WebserviceException(
                f"input_data is a {type(input_data).__name__}: it must be a string or bytes. "
                "For example: service.run(json.dumps({'data': [[1, 2, 3]]}))"
            )
        body = input_data.encode() if isinstance(input_data, str) else input_data
        self._check_size(len(body), headers)
        answer = self._score(body, headers)
        if answer.status == 401 and self.authentication_needed:
            self._forget_credentials()  # the key was regenerated, or another endpoint has the name now
            answer = self._score(body, headers)
        if answer.status == 308:  # TLS was turned on since the scoring URI was read
            self.update_deployment_state()
            answer = self._score(body, headers)
        if answer.status != 200:
            # A mistake of the client is told by the answer, and not in the log.
            more = "" if 400 <= answer.status < 500 else "\nIts log says more: service.get_logs()"
            raise WebserviceException(
                f"{self.name!r} answered with status {answer.status}: {answer.text}{more}", status_code=answer.status
            )
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):  # not JSON, or nested too deeply to decode
            return answer.text

    def get_swagger(self) -> dict[str, Any]:
        """Return the description of its API: that of `swagger_uri`.

        Raises:
            WebserviceException: it has none yet, or it cannot be read.

        """
        self._check_not_deleted()
        if self.swagger_uri is None:
            self.update_deployment_state()
        if self.swagger_uri is None:
            raise WebserviceException(
                f"{self.name!r} is {self.state}: it has no description yet. First: service.wait_for_deployment()"
            )
        answer = self._scorer.get(self.swagger_uri, self._credential(), _ANSWER_MARGIN_SECONDS)
        if answer.status == 308:  # TLS was turned on since the URI was read
            self.update_deployment_state()
            answer = self._scorer.get(str(self.swagger_uri), self._credential(), _ANSWER_MARGIN_SECONDS)
        try:
            found = json.loads(answer.body) if answer.status == 200 else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise WebserviceException(
                f"{self.swagger_uri} answered with status {answer.status}, and not with a description of the API.",
                status_code=answer.status,
            )
        return found

    def _check_size(self, size: int, headers: Mapping[str, str]) -> None:
        """Refuse a body above the limit before it is sent; the limit may have been raised by now."""
        version = headers.get(VERSION_HEADERS[0])
        if size_problem(size, body_limit(self.record, version), self.name) is not None:
            self.update_deployment_state()
        if problem := size_problem(size, body_limit(self.record, version), self.name):
            raise WebserviceException(problem, status_code=413)

    def _score(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        self._check_not_deleted()
        if self._unsettled is not None:
            self._settle(self._unsettled)
        if self.record.status.scoring_uri is None:
            self.update_deployment_state()
        uri = self.scoring_uri
        if uri is None:
            raise WebserviceException(
                f"{self.name!r} is {self.state}: it has no scoring URI yet. First: service.wait_for_deployment()"
            )
        headers = {"Content-Type": "application/json", **headers, **self._credential()}
        limits = [version.limits for version in self._spec.versions.values()]
        milliseconds = max(item.scoring_timeout_ms + item.max_queue_wait_ms for item in limits) + self._wake_wait_ms
        return self._scorer.post(uri, body, headers, milliseconds / 1000 + _ANSWER_MARGIN_SECONDS)

    def _settle(self, versions: frozenset[str]) -> None:
        """Wait for the last change of this object, of some versions; raise its failure, once."""
        record = deploy.wait.follow(
            self.workspace.endpoints,
            self.name,
            timeout=_CHANGE_SECONDS,
            reached=lambda found: deploy.wait.settled(found, versions),
        )
        self._show(record)
        self._unsettled = None
        if failed := deploy.wait.failed_versions(record, versions):
            state = f"{record.status.versions[failed[0]].state} since its last change"
            raise deploy.wait.failure(record, state, place=self._script(record))

    @property
    def _wake_wait_ms(self) -> int:
        """The longest time that a request may wait for the first replica of a version without any, in milliseconds."""
        policies = [version.scaling.autoscale for version in self._spec.versions.values()]
        return max((item.max_wake_wait_ms for item in policies if item and item.min_replicas == 0), default=0)

    # Keys and tokens.

    def get_keys(self) -> tuple[str, str]:
        """Return the primary and the secondary key.

        Raises:
            WebserviceException: the web service has no key authentication.

        """
        self._check_not_deleted()
        with as_webservice_exception():
            return self.workspace.endpoints.keys(self.name)

    def regen_key(self, key: str, set_key: str | None = None) -> None:
        """Replace a key; the other one keeps working.

        Parameters:
            key: 'Primary' or 'Secondary'.
            set_key: the new key; None for a random one.

        Raises:
            WebserviceException: `key` is neither, or the web service has no key authentication.

        """
        self._check_not_deleted()
        which = str(key).lower()
        if which not in ("primary", "secondary"):
            raise WebserviceException(f"key is {key!r}: it must be 'Primary' or 'Secondary'.")
        with as_webservice_exception():
            self.workspace.endpoints.regenerate_key(
                self.name, "primary" if which == "primary" else "secondary", set_key
            )
        self._keys = None

    def get_token(self) -> tuple[str, datetime]:
        """Return a token for requests, and the time after which to ask for the next one.

        Raises:
            WebserviceException: the web service has no token authentication.

        """
        token = self.get_access_token()
        return token.access_token, token.refresh_after

    def get_access_token(self) -> AksServiceAccessToken:
        """Return a token for requests: its text, the time to ask for the next one, and the time it expires.

        It is valid for this web service only. The router verifies it without asking the control plane.

        Raises:
            WebserviceException: the web service has no token authentication.

        Example:
            >>> token = service.get_access_token()                                               # doctest: +SKIP
            >>> headers = {"Authorization": f"{token.token_type} {token.access_token}"}          # doctest: +SKIP

        """
        self._check_not_deleted()
        with as_webservice_exception():
            return AksServiceAccessToken.issued(self.workspace.endpoints.token(self.name, user_name()))

    def _credential(self) -> dict[str, str]:
        """Return the header that authenticates a request; an empty dict where none is needed."""
        if self.auth_enabled:
            self._keys = self._keys or self.get_keys()
            return {"Authorization": f"Bearer {self._keys[0]}"}
        if self.token_auth_enabled:
            if self._token is None or datetime.now(UTC) >= self._token.refresh_after:
                self._token = self.get_access_token()
            return {"Authorization": f"Bearer {self._token.access_token}"}
        return {}

    def _forget_credentials(self) -> None:
        """Forget key and token, so that the next request asks for them again."""
        self._keys = self._token = None

    # Changes.

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Change the web service; each kind has its own parameters.

        Raises:
            WebserviceException: this kind cannot be changed in place.

        """
        raise WebserviceException(f"A {type(self).__name__} cannot be changed: deploy it again with overwrite=True.")

    def add_tags(self, tags: dict[str, str]) -> None:
        """Add tags, or change the values of those that exist."""
        self._replace(lambda spec: deploy.spec_builder.merged(spec, tags={**spec.tags, **tags}))

    def remove_tags(self, tags: Sequence[str]) -> None:
        """Remove tags by their keys; keys that do not exist are ignored."""
        keys = {tags} if isinstance(tags, str) else set(tags)
        self._replace(
            lambda spec: deploy.spec_builder.merged(
                spec, tags={key: value for key, value in spec.tags.items() if key not in keys}
            )
        )

    def add_properties(self, properties: dict[str, str]) -> None:
        """Add properties.

        Raises:
            WebserviceException: one exists already: properties do not change.

        """
        self._replace(
            lambda spec: deploy.spec_builder.merged(
                spec, properties=deploy.spec_builder.added_properties(spec.properties, properties)
            )
        )

    def limit_rate(self, requests_per_second: int | None, burst: int | None = None) -> None:
        """Limit the rate of requests, all clients together; requests above the limit are answered 429.

        Parameters:
            requests_per_second: requests per second; None for no limit.
            burst: requests at once before the limit applies; by default those of one second.

        Raises:
            WebserviceException: a number is not above 0.

        """
        limit = (
            None
            if requests_per_second is None
            else {"requestsPerSecond": requests_per_second, **({} if burst is None else {"burst": burst})}
        )
        self._replace(lambda spec: EndpointSpec.parse({**spec.document(), "rateLimit": limit}))

    def restart(self, version: str | None = None) -> None:
        """Replace all replicas with new ones; return at once.

        The old replicas answer requests until the new ones are ready. `wait_for_deployment` waits.

        Parameters:
            version: only this version of an endpoint; None for all.

        Raises:
            WebserviceException: there is no such version.

        """
        self._replace(partial(_restarted, version=version))

    def _replace(self, change: Callable[[EndpointSpec], EndpointSpec], *, again: bool = False) -> None:
        """Change the spec as it is now.

        Parameters:
            change: returns the spec after the change; called again after a concurrent change.
            again: hand the spec over even if nothing changes, so that a failed deployment is tried again.

        """
        self._check_not_deleted()
        before = self._spec

        def changed(spec: EndpointSpec) -> EndpointSpec:
            nonlocal before
            self._check_kind(spec)
            before, wanted = spec, change(spec)
            core.deployment.print_openings(spec, wanted)
            return wanted

        with as_webservice_exception():
            record = deploy.apply.change(self.workspace.context, self.name, changed, even_unchanged=again)
            self._show_change(before, record)

    def _update(
        self,
        configuration: WebserviceDeploymentConfiguration,
        *,
        image: Any = None,
        image_config: Any = None,
        models: Sequence[Model | str] | None = None,
        inference_config: InferenceConfig | None = None,
        models_alone: bool | None = None,
        change: Callable[..., EndpointSpec] | None = None,
        delivery: ModelDelivery | None = None,
    ) -> None:
        """Update settings, content, or both: the common part of the `update` methods of all kinds.

        Parameters:
            configuration: the settings that change.
            image, image_config, models, inference_config: the new content.
            models_alone: whether models may come without inference_config; None: if they did so before.
            change: makes the new spec; None for `changed_endpoint`.
            delivery: how models reach replicas, unless the configuration says it.

        """
        self._check_not_deleted()
        change = change or deploy.spec_builder.changed_endpoint
        sources = {"image": image, "image_config": image_config, "inference_config": inference_config}
        given = [name for name, value in sources.items() if value is not None]
        if len(given) > 1 or (image is not None and models is not None):
            given += [] if models is None else ["models"]
            raise WebserviceException(
                f"{' and '.join(given)} cannot be combined: give one. An image has script and models in it."
            )
        without_script = self._version.no_code is not None if models_alone is None else models_alone
        if models is not None and not given and not without_script:
            raise WebserviceException(
                "models are given without inference_config: give both. Only web services without a scoring script "
                "are updated with models alone."
            )
        given += [] if models is None else ["models"]
        if not configuration.given() and not given:
            raise WebserviceException("update() without arguments: give the settings to change.")
        target = self.workspace.context.target(self._spec.compute_target)
        core.deployment.print_without_effect(configuration, target)
        asked = configuration.given().get(deploy.model_delivery.ARGUMENT)
        if inference_config is None and models is None:
            deploy.model_delivery.refuse_mount(
                asked,
                target,
                "it changes with the content only. Give inference_config as well: the image is built anew.",
            )
        if configuration.given().get("enable_app_insights"):
            self.workspace.telemetry.adopt_environment()
        if not given:
            self._replace(lambda spec: change(spec, configuration, None))
            return
        with as_webservice_exception(), self.workspace.artifacts.hold():
            prepared = self._prepared(image, image_config, inference_config, models, asked or delivery)
            content = deploy.build.build_version(self.workspace.context, prepared)
            self._replace(lambda spec: change(spec, configuration, content), again=True)

    def _prepared(
        self,
        image: Any,
        image_config: Any,
        inference_config: InferenceConfig | None,
        models: Sequence[Model | str] | None,
        delivery: ModelDelivery | None,
    ) -> Prepared:
        target = self.workspace.context.target(self._spec.compute_target)
        if image is not None:
            return deploy.prepare.ready(core.deployment.image_content(self.workspace, image, target), self.name, target)
        present = self._version.models if models is None else models
        if image_config is None:
            return core.deployment.prepare_version(
                self.workspace,
                present,
                inference_config,
                kind=self.kind,
                service=self.name,
                target=target,
                delivery=delivery,
            )
        ids = [model.id if isinstance(model, ModelReference) else model for model in present]
        content = core.deployment.new_image_content(self.workspace, self.name, ids, image_config, target)
        return deploy.prepare.ready(content, self.name, target)

    # Replicas.

    def scale(
        self,
        replicas: int | None = None,
        minimum: int | None = None,
        maximum: int | None = None,
        *,
        version: str | None = None,
        target_utilization: int | None = None,
        refresh_seconds: int | None = None,
        scale_down_seconds: int | None = None,
        scale_to_zero_seconds: int | None = None,
        max_wake_wait_ms: int | None = None,
    ) -> None:
        """Change the number of replicas, or the rules of autoscaling; return at once.

        Parameters:
            replicas: a fixed number of replicas, at least 1. Any other parameter turns autoscaling on.
            minimum, maximum: the bounds of autoscaling. With a minimum of 0 the last replica stops when there are no
                requests, and the next requests wait while a replica starts.
            version: the version of an endpoint; by default its default version.
            target_utilization: the share of busy replicas to aim at, in percent.
            refresh_seconds: longest time from a change of the load to a decision.
            scale_down_seconds: replicas stop after this time with less load.
            scale_to_zero_seconds: the last replica stops after this time without a request, if `minimum` is 0.
            max_wake_wait_ms: approximate longest time that a request waits for the first replica; then 503.

        Raises:
            WebserviceException: nothing is given, `replicas` is given together with others, or a rule is broken.

        Example:
            >>> service.scale(minimum=1, maximum=5, target_utilization=70)                       # doctest: +SKIP

        """
        given = {key: value for key, value in locals().items() if key not in ("self", "version")}
        self._replace(partial(deploy.versions.with_scaling, version=version, **given))

    def scaling_history(self, version: str | None = None) -> pd.DataFrame:
        """Return the newest decisions of autoscaling, oldest first.

        Parameters:
            version: only those on this version.

        Returns:
            A DataFrame with the columns `time` (UTC), `version`, `before`, `after`, `admitted` (the part of these that
            the machine has room for), `reason`, `demand` (requests that ran or waited), `needed` (replicas by the
            formula, before the bounds), `min_replicas`, `max_replicas`, `target_utilization` (percent) and
            `max_concurrent_requests`.

        """
        import pandas as pd  # optional, and slow to import

        with as_webservice_exception():
            decisions = self.workspace.endpoints.scaling_history(self.name, version)
        frame = pd.DataFrame([item.model_dump() for item in decisions], columns=list(ScalingDecision.model_fields))
        frame["time"] = pd.to_datetime(frame["time"], utc=True)
        return frame

    # History.

    def history(self) -> builtins.list[HistoryEntry]:
        """Return the changes of the web service with their users and times, oldest first; the newest 100 are kept."""
        self._check_not_deleted()
        with as_webservice_exception():
            return self.workspace.endpoints.history(self.name)

    def rollback(self, number: int | None = None, *, generation: int | None = None) -> None:
        """Restore the state of the web service before its last change, or that of an entry of its history.

        Versions, shares and tags are all restored. A rollback is a change like any other: it has an entry in the
        history, and a second `rollback()` undoes the first one, as ``kubectl rollout undo`` does. To go further back,
        name the entry. During a rollout `rollback()` aborts it and changes nothing else. Returns at once; the present
        version serves until the restored one is ready, and `wait_for_deployment` waits for that. If the restored state
        is of another kind, this object gets the class of that kind.

        Parameters:
            number: the number of an entry; None for the newest one that differs from the present state.
            generation: the generation of the state to leave, as it was seen before; None for the present one. Of two
                people who roll back the same state, the second one gets an error, and does not undo what the first did.

        Raises:
            WebserviceException: there is no such entry, one of its models was deleted, or the web service was changed
                concurrently.

        """
        self._check_not_deleted()
        self.update_deployment_state()
        client, record = self.workspace.endpoints, self.record
        with as_webservice_exception():
            if number is None and record.rolls_out:
                self._show(client.rollback(self.name))
                return
            restored = deploy.apply.rollback(self.workspace.context, record, number, generation)
            self._become(restored.spec.kind)
            self._show_change(record.spec, restored)

    # Logs and metrics.

    def get_logs(self, num_lines: int = 5000, init: bool = False) -> str:
        """Return the last lines of the log of all replicas in order of time, stopped replicas included.

        Parameters:
            num_lines: the largest number of lines.
            init: only the lines that were written while replicas started.

        """
        self._check_not_deleted()
        with as_webservice_exception():
            return self.workspace.endpoints.logs(self.name, lines=num_lines, startup=init)

    def follow_logs(self, num_lines: int = 100) -> Iterator[str]:
        """Yield the last lines of the log, and then each new line, with its line end.

        It continues through updates, replacements of replicas, and restarts of the control plane. It ends when the web
        service is deleted, or with an interrupt.

        Parameters:
            num_lines: the number of lines to begin with.

        Example:
            >>> for line in service.follow_logs():                                               # doctest: +SKIP
            ...     print(line, end="")

        """
        self._check_not_deleted()
        with as_webservice_exception():
            yield from self.workspace.endpoints.follow_logs(self.name, lines=num_lines)

    def get_insights(self, num_records: int = 1000) -> builtins.list[dict[str, Any]]:
        """Return the newest records of requests and of the script's log, oldest first.

        There are none unless the web service was deployed or updated with ``enable_app_insights=True``.

        Parameters:
            num_records: the largest number of records.

        Example:
            >>> slow = [r for r in service.get_insights() if r.get("duration", 0) > 1000]        # doctest: +SKIP

        """
        self._check_not_deleted()
        with as_webservice_exception():
            return self.workspace.endpoints.records(self.name, count=num_records)

    # Collected data.

    def collected_data(
        self,
        designation: str | None = "inputs",
        model_name: str | None = None,
        since: Duration | datetime | None = None,
        most_mb: float = collected.MOST_MB,
    ) -> pd.DataFrame:
        """Return the rows that the script's `ModelDataCollector` has written, in the order in which they were scored.

        They are those of all replicas and versions, also of ended ones. There are none unless the web service was
        deployed or updated with ``collect_model_data=True``.

        Parameters:
            designation, model_name, since: as for `collected_files`.
            most_mb: the largest size of all files that are read, in MiB.

        Raises:
            WebserviceException: the data cannot be read, is larger, or collection is off and there is none.
            MissingPackageError: pandas is not installed.

        Example:
            >>> inputs = service.collected_data(since="7d")                                      # doctest: +SKIP
            >>> predictions = service.collected_data("predictions", since="7d")                  # doctest: +SKIP

        """
        with as_webservice_exception():
            files = self.collected_files(designation, model_name, since)
            return collected.data_frame(self.workspace.endpoints, self.name, files, most_mb)

    def collected_files(
        self,
        designation: str | None = None,
        model_name: str | None = None,
        since: Duration | datetime | None = None,
    ) -> builtins.list[CollectedFile]:
        """Return the files of collected data, in the order of their paths: path, size in bytes, time of the last row.

        Parameters:
            designation: that of the collector, such as ``inputs``; None for all.
            model_name: that of the collector; None for all.
            since: the first day (UTC), as the beginning of `metrics`; None for all.

        Raises:
            WebserviceException: the data cannot be read, or collection is off and there is none.

        """
        self._check_not_deleted()
        with as_webservice_exception():
            found = self.workspace.endpoints.collected_files(self.name)
            now = datetime.now(UTC)
            first = None if since is None else (now - timedelta(seconds=seconds_since(since, now))).date()
        if not found:
            self._check_collecting()
        return chosen(found, model_name=model_name, designation=designation, since=first)

    def download_collected_data(
        self,
        target_dir: str | os.PathLike[str] = ".",
        designation: str | None = None,
        model_name: str | None = None,
        since: Duration | datetime | None = None,
    ) -> builtins.list[Path]:
        """Write the files of collected data below a directory, each under its path; return where they are.

        Parameters:
            target_dir: it is created if it does not exist. Files that are there already are replaced.
            designation, model_name, since: as for `collected_files`.

        Raises:
            WebserviceException: a file cannot be read or written, or collection is off and there is none.

        """
        with as_webservice_exception():
            files = self.collected_files(designation, model_name, since)
            return collected.download(self.workspace.endpoints, self.name, files, Path(target_dir))

    def _check_collecting(self) -> None:
        self.update_deployment_state()
        if not any(version.collect_model_data for version in self._spec.versions.values()):
            raise WebserviceException(
                f"web service {self.name!r} has collected nothing: collect_model_data is off.\nTurn it on with "
                "update(collect_model_data=True), for a version of an AksEndpoint with\n"
                f"update_version({self._spec.default_version!r}, collect_model_data=True). "
                "The script needs a ModelDataCollector."
            )

    def metrics(
        self, since: Duration | datetime = "15m", by: str = "version", every: Duration | None = None
    ) -> pd.DataFrame:
        """Return the metrics as a tidy pandas DataFrame: one row for each interval and version.

        Values by second are kept for an hour, values by minute for a month. The columns and their units are listed in
        ``docs/metrics.md``; percentiles are those of all requests of the interval.

        Parameters:
            since: the beginning: '90s', '15m', '2h', '7d' ago, a number of seconds, a timedelta, or a datetime.
            by: 'version'; 'endpoint' for all versions together; 'replica' for CPU and memory of each replica.
            every: length of an interval, as `since`; None for the shortest one that gives at most 1,000 intervals.

        Raises:
            WebserviceException: an argument is wrong, or the web service was deleted.
            MissingPackageError: pandas is not installed.

        """
        if by not in _GROUPINGS:
            raise WebserviceException(f"by is {by!r}: it must be 'version', 'endpoint' or 'replica'.")
        return data_frame(self._report(since, every, merge=by == "endpoint"), by)

    def plot(
        self,
        kind: str = "latency",
        since: Duration | datetime = "15m",
        every: Duration | None = None,
        template: str | None = None,
    ) -> Figure:
        """Return a Plotly figure of the metrics.

        Parameters:
            kind: 'latency' (percentiles), 'traffic' (requests per second, configured and observed shares), 'replicas'
                (desired and ready, requests that run and wait) or 'errors' (by class).
            since, every: as for `metrics`.
            template: 'light', 'dark' or the name of a Plotly template; None for that of the notebook.

        Raises:
            WebserviceException: the web service was deleted.
            PlotError: there is no such plot or template.
            MissingPackageError: Plotly is not installed.

        """
        return figure(kind, self._report(since, every, merge=False), template=template)

    def _report(self, since: Duration | datetime, every: Duration | None, *, merge: bool) -> dict[str, Any]:
        with as_webservice_exception():
            seconds = seconds_since(since, datetime.now(UTC))
            whole = None if every is None else round(seconds_of(every, "every", above_zero=True))
            return self.workspace.endpoints.metrics(self.name, since=seconds, every=whole, merge=merge)

    # Parts.

    def _attach(self, workspace: Workspace, name: str) -> None:
        self.workspace = workspace
        self.name = name
        self._record: EndpointRecord | None = self.__dict__.get("_record")
        self._deleted = False
        self._forget_credentials()

    @cached_property
    def _scorer(self) -> Scorer:
        from mljupyter.client.scorer import Scorer  # HTTP and TLS, which only requests need

        return Scorer(self._reach)

    def _reach(self) -> Reach | None:
        return self.workspace.context.targets[self._spec.compute_target].reach()

    def _show(self, record: EndpointRecord) -> None:
        self._check_kind(record.spec)
        self._record = record

    def _show_change(self, before: EndpointSpec, record: EndpointRecord) -> None:
        """Show the record after a change of this object; the next request waits until the change has ended."""
        self._show(record)
        pending = self._unsettled or frozenset()
        self._unsettled = pending | deploy.wait.changed_versions(before, record.spec)

    def _become(self, kind: EndpointKind) -> None:
        """Give this object the class of another kind, after a change that it has made itself."""
        if kind is not self.kind:
            self.__class__ = self.class_of(kind)

    def _check_kind(self, spec: EndpointSpec) -> None:
        if spec.kind is not self.kind:
            raise WebserviceException(
                f"{self.name!r} is of the class {self.class_of(spec.kind).__name__}, not {type(self).__name__}.\n"
                f"Use Webservice(workspace, {self.name!r})"
            )

    def _check_not_deleted(self) -> None:
        if self._deleted:
            raise WebserviceException(
                f"WebserviceNotFound: the web service {self.name!r} was deleted. Deploy it again, or get another one "
                "with Webservice(ws, NAME)."
            )

    def _summary(self) -> Rows:
        if self._record is None:
            return [("Name", self.name), ("State", self.state)]
        spec = self._spec
        target, uri = self.workspace.context.targets.get(spec.compute_target), self._record.status.scoring_uri
        return [
            ("Name", self.name),
            ("State", self.state),
            ("Target", spec.compute_target),
            ("Scoring URI", " ".join(filter(None, (uri, target.way_of(uri) if target is not None and uri else None)))),
            ("Authentication", str(spec.authentication)),
            ("Models", ", ".join(spec.model_ids)),
            ("Traffic", shares_text(spec)),
            ("Tags", pairs(self.tags)),
            ("Updated", date_text(self.updated_time)),
        ]

    def client_snippets(self, sample: Any = None) -> ClientSnippets:
        """Return how other programs call the web service: URI, curl command and Python code, without its key.

        Parameters:
            sample: a request for the example, as for `run`; None for the first row of the example in the description
                of its API. A general one is taken if there is no example, or no replica that could give it now.

        Raises:
            WebserviceException: it has no scoring URI yet.

        Example:
            >>> print(service.client_snippets(X_test[:1]).curl)                                  # doctest: +SKIP

        """
        uri = self.scoring_uri
        if uri is None:
            raise WebserviceException(
                f"{self.name!r} is {self.state}: it has no scoring URI yet. First: service.wait_for_deployment()"
            )
        authority = None
        if uri.startswith("https:"):
            authority = self.workspace.compute_targets[self._spec.compute_target].router.show().authority_file
        example = self._example() if sample is None else None
        by_name = is_table(sample) and self.takes_objects()
        return client_snippets(
            uri,
            self._spec.authentication,
            self.name,
            body=(example or PLACEHOLDER) if sample is None else request_text(sample, by_name=by_name),
            authority_file=authority,
            swagger_uri=None if example is None else self.swagger_uri,
        )

    def _example(self) -> str | None:
        """Return the first row of the example in the description of its API; None if there is none now.

        The description is read once for each change of the endpoint; a version without replicas is not woken for it.
        """
        record = self.record
        if not any(version.replicas_ready and version.weight for version in record.status.versions.values()):
            return None
        if self._known_example is None or self._known_example[0] != record.generation:
            try:
                found = example_request(self.get_swagger())
            except WebserviceException:
                return None
            self._known_example = (record.generation, found)
        return self._known_example[1]

    def _repr_html_(self) -> str:
        table = super()._repr_html_()
        if self._record is None or self._deleted or self.scoring_uri is None:
            return table
        try:
            return table + snippets_html(self.client_snippets())
        except MLJupyterError:
            return table  # the certificates cannot be read now


def _restarted(spec: EndpointSpec, version: str | None) -> EndpointSpec:
    """Return the spec with a higher `reload` of one version or of all, which replaces its replicas."""
    chosen = {
        name: deploy.versions.known_version(spec, name)
        for name in ([version] if version is not None else spec.versions)
    }
    versions = {name: found.model_copy(update={"reload": found.reload + 1}) for name, found in chosen.items()}
    return spec.model_copy(update={"versions": {**spec.versions, **versions}})


def _say(text: str) -> None:
    print(printable(text), end="", flush=True)
