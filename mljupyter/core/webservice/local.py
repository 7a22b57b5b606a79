"""Local web services: each listens on its own port of this machine, for debugging.

Azure: azureml.core.webservice.local.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter import core, deploy
from mljupyter.core.webservice.configuration import (
    LocalWebserviceDeploymentConfiguration,
    WebserviceDeploymentConfiguration,
)
from mljupyter.core.webservice.webservice import Webservice
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.spec import CodeReference, EndpointKind, EndpointSpec, EndpointState

if TYPE_CHECKING:
    from mljupyter.core import ComputeTarget, InferenceConfig, Model, Workspace
    from mljupyter.deploy.images.served_image import ServedImage

_STATES = {
    EndpointState.TRANSITIONING: "deploying",
    EndpointState.UNSCHEDULABLE: "failed",
    EndpointState.HEALTHY: "running",
    EndpointState.UNHEALTHY: "failed",
    EndpointState.FAILED: "failed",
    EndpointState.DELETING: "deleted",
}
_NO_AUTHENTICATION = (
    "Local web services have no keys or tokens: they listen on 127.0.0.1 only. "
    "For keys, deploy with AciWebservice or AksWebservice."
)


class LocalWebservice(Webservice):
    """A web service deployed with `LocalWebservice.deploy_configuration`.

    Parameters:
        workspace: the workspace.
        name: the web service's name.
        must_exist: False to get an object for a web service that does not exist as well; its state is ``unknown``.

    Raises:
        WebserviceException: `WebserviceNotFound`: it must exist and does not.

    """

    kind = EndpointKind.LOCAL

    STATE_DEPLOYING = "deploying"
    STATE_RUNNING = "running"
    STATE_FAILED = "failed"
    STATE_DELETED = "deleted"
    STATE_UNKNOWN = "unknown"

    def __init__(self, workspace: Workspace, name: str, must_exist: bool = True) -> None:
        self._attach(workspace, name)
        if self._record is None:
            self.update_deployment_state(must_exist)

    @staticmethod
    def deploy_configuration(
        port: int | None = None, batching: bool | None = None, preload: bool | None = None
    ) -> LocalWebserviceDeploymentConfiguration:
        """Return a deployment configuration for `Model.deploy`.

        Parameters:
            port: the port that it listens on, 1 to 65535; None for a free port.
            batching: whether several waiting requests are answered by one ``run()``; by default the script decides.
            preload: run ``init()`` once, in a process from which all replicas are forked; by default not.

        Raises:
            WebserviceException: rules are broken; the message has all of them.

        """
        return LocalWebserviceDeploymentConfiguration(port, batching, preload)

    @staticmethod
    def list(  # type: ignore[override]
        workspace: Workspace,
        model_name: str | None = None,
        model_id: str | None = None,
        all: bool | None = None,  # noqa: A002 - the name of the original
    ) -> Sequence[Webservice]:
        """Return the local web services that are running, sorted by name.

        Parameters:
            workspace: the workspace.
            model_name, model_id: name, or ``name:version``, of a model that it serves.
            all: True to include those that are not running.

        """
        found = Webservice.list(workspace, "LOCAL", model_name=model_name, model_id=model_id)
        return [service for service in found if all or service.state == LocalWebservice.STATE_RUNNING]

    @property
    def state(self) -> str:
        """deploying, running, failed, deleted or unknown; as of the last operation."""
        if self._deleted:
            return self.STATE_DELETED
        return _STATES[self._record.status.state] if self._record else self.STATE_UNKNOWN

    @property
    def port(self) -> int | None:
        """The port that it listens on."""
        return self._spec.port

    def update_deployment_state(self, must_exist: bool = False) -> None:
        """Read the attributes of this object again.

        Parameters:
            must_exist: raise when the web service does not exist; else its state becomes ``deleted`` or ``unknown``.

        Raises:
            WebserviceException: `WebserviceNotFound`: it must exist and does not.

        """
        try:
            super().update_deployment_state()
        except WebserviceException as error:
            if must_exist or error.status_code != 404:
                raise
            self._deleted = self._record is not None

    def wait_for_deployment(self, show_output: bool = False, timeout_sec: float | None = None) -> None:
        """Wait until the web service is running; see `Webservice.wait_for_deployment`."""
        super().wait_for_deployment(show_output, timeout_sec)

    def get_logs(self, num_lines: int = 5000, raw: bool = False) -> str:
        """Return the last lines of the log.

        Parameters:
            num_lines: the largest number of lines.
            raw: without effect.

        Azure: `raw` leaves the log unformatted. Here it is never formatted.

        """
        return super().get_logs(num_lines)

    def reload(self, wait: bool = False) -> None:
        """Read the scoring script and its source directory again, and restart with them.

        Parameters:
            wait: return when the web service runs again.

        Raises:
            WebserviceException: the source was deleted, or the script has a syntax error; the service keeps its present
                script.

        """
        self._check_not_deleted()
        self.update_deployment_state(must_exist=True)
        source = self._spec.properties.get(deploy.spec_builder.SOURCE_PROPERTY)
        present = self._version.code
        if source is None or present is None:
            raise WebserviceException(
                f"{self.name!r} cannot be reloaded: the path of its scoring script was not recorded. "
                "Use update(inference_config=...)."
            )
        with as_webservice_exception(), self.workspace.artifacts.hold():
            script = present.entry_script.removeprefix(f"{present.source_directory}/")
            given = deploy.prepare.ScriptSource(Path(source), None if present.source_directory is None else script)
            code = deploy.prepare.code_reference(self.workspace.artifacts, given)
            image_id = self._version.image_id
            image = None
            if image_id is not None:
                image = deploy.images.served_image.image_with_code(self.workspace.context, self.name, image_id, code)
            self._replace(lambda spec: _reloaded(spec, code, image))
        if wait:
            self.wait_for_deployment()

    def update(
        self,
        models: Sequence[Model | str] | None = None,
        image_config: Any = None,
        deployment_config: LocalWebserviceDeploymentConfiguration | None = None,
        wait: bool = False,
        inference_config: InferenceConfig | None = None,
    ) -> None:
        """Change the settings that are given, the content, or both.

        Parameters:
            models, inference_config: the new models and scoring script; without `models` the present ones. A model may
                be a local path.
            deployment_config: the new port.
            wait: return when the web service runs again.
            image_config: build an image of this and `models` and run it; the web service must run in containers.

        Raises:
            WebserviceException: nothing is given, or a rule is broken.

        """
        self._update(
            deployment_config or LocalWebserviceDeploymentConfiguration(),
            image_config=image_config,
            models=models,
            inference_config=inference_config,
        )
        if wait:
            self.wait_for_deployment()

    def deploy_to_cloud(
        self,
        name: str | None = None,
        deployment_config: WebserviceDeploymentConfiguration | None = None,
        deployment_target: ComputeTarget | None = None,
    ) -> Webservice:
        """Deploy the content of this web service as a web service of another kind; return at once.

        Parameters:
            name: the name of the new web service; by default this one's.
            deployment_config: the kind and its settings; by default an ACI web service.
            deployment_target: the compute target; by default the one of this web service.

        Raises:
            WebserviceException: the name is taken, or a rule is broken.

        """
        self.update_deployment_state(must_exist=True)
        version = self._version
        content = deploy.content.VersionContent(
            code=version.code,
            no_code=version.no_code,
            models=version.models,
            image=version.image,
            image_id=version.image_id,
            interpreter=version.interpreter,
            environment_variables=version.environment_variables,
            source=self._spec.properties.get(deploy.spec_builder.SOURCE_PROPERTY),
            description=version.description,
        )
        target = core.deployment.target_of(self.workspace, deployment_target or self._spec.compute_target)
        configuration, name = core.deployment.configuration_of(deployment_config), name or self.name
        with as_webservice_exception(), self.workspace.artifacts.hold():
            core.deployment.check_settings(self.workspace, name, configuration, target)
            return core.deployment.deploy_prepared(
                self.workspace, name, deploy.prepare.ready(content, name, target), configuration
            )

    def delete(self, delete_cache: bool = True, delete_image: bool = False, delete_volume: bool = True) -> None:
        """Delete the web service; its port and its models are released when this returns.

        Parameters:
            delete_image: delete its image as well. An image that is used elsewhere stays, and a line says so.
            delete_cache, delete_volume: without effect.

        Azure: `delete_cache` and `delete_volume` clean up the Docker engine. Here nothing remains on it.

        """
        image = self.image if delete_image and self._record is not None else None
        super().delete()
        if image is not None:
            try:
                image.delete()
            except WebserviceException as error:  # the web service is deleted, so that this is no error
                print(f"{self.name!r} is deleted; its image stays: {error.message}")

    def get_keys(self) -> tuple[str, str]:
        """Raise `NotImplementedError`: local web services have no keys.

        Raises:
            NotImplementedError: always.

        """
        raise NotImplementedError(_NO_AUTHENTICATION)

    def regen_key(self, key: str, set_key: str | None = None) -> None:
        """Raise `NotImplementedError`: local web services have no keys.

        Raises:
            NotImplementedError: always.

        """
        raise NotImplementedError(_NO_AUTHENTICATION)

    def get_token(self) -> Any:
        """Raise `NotImplementedError`: local web services have no tokens.

        Raises:
            NotImplementedError: always.

        """
        raise NotImplementedError(_NO_AUTHENTICATION)

    def get_access_token(self) -> Any:
        """Raise `NotImplementedError`; see `get_token`."""
        return self.get_token()

    @staticmethod
    def deserialize(workspace: Workspace, webservice_payload: Any) -> LocalWebservice:
        """Raise `NotImplementedError`: a local web service is not made from JSON.

        Raises:
            NotImplementedError: always.

        """
        raise NotImplementedError(
            "deserialize() does not exist for local web services: use LocalWebservice(workspace, name)."
        )


def _reloaded(spec: EndpointSpec, code: CodeReference, image: ServedImage | None) -> EndpointSpec:
    version = spec.versions[spec.default_version]
    version = deploy.spec_builder.merged(
        version,
        code=code,
        image=image.reference if image is not None else None,
        image_id=image.id if image is not None else None,
        reload=version.reload + 1,
    )
    return deploy.spec_builder.merged(spec, versions={**spec.versions, spec.default_version: version})
