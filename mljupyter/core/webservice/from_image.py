"""Deploy images, and what they are made of (Azure ML v1: Webservice.deploy, deploy_from_model, deploy_from_image)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mljupyter.core.compute import ComputeTarget
    from mljupyter.core.image import Image, ImageConfig
    from mljupyter.core.model import Model
    from mljupyter.core.webservice.base import Webservice
    from mljupyter.core.webservice.configuration import (
        LocalWebserviceDeploymentConfiguration,
        WebserviceDeploymentConfiguration,
    )
    from mljupyter.core.webservice.local import LocalWebservice
    from mljupyter.core.workspace import Workspace


class WebserviceFromImage:
    """The ways to a web service by way of an image."""

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
        """Register models, make an image of them and deploy it; see `deploy_from_model`.

        Parameters:
            model_paths: files or directories; each is registered under its own name.

        All others are as in `deploy_from_model`.

        """
        return WebserviceFromImage.deploy_from_model(
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
        """Make an image of the web service's name and deploy it; returns when the image is ready.

        Parameters:
            workspace: the workspace.
            name: the web service's name, as in `Model.deploy`; the image gets it, too.
            models: models, ids ``name:version``, or paths, which are registered first.
            image_config: from `ContainerImage.image_configuration`.
            deployment_config, deployment_target, overwrite: as in `deploy_from_image`.

        Raises:
            WebserviceException: when the name is taken, a rule is broken, or the image cannot be built.

        """
        from mljupyter.core import image_deployment

        return image_deployment.deploy_models(
            workspace, name, models, image_config, deployment_config, deployment_target, overwrite=overwrite
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
        """Deploy an image; returns when the image is ready, `wait_for_deployment` waits for the web service.

        A later version of the image changes nothing by itself: `update(image=...)` does.

        Parameters:
            workspace: the workspace.
            name: the web service's name, as in `Model.deploy`.
            image: an image, its id ``name:version``, or its name for the newest version.
            deployment_config: kind and settings; None for an ACI web service with its defaults.
            deployment_target: where to; None for the Docker engine.
            overwrite: take the place of a web service of that name.

        Raises:
            WebserviceException: when the name is taken, a rule is broken, or the image was not made.

        """
        from mljupyter.core import image_deployment

        return image_deployment.deploy(
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
        """Make an image and deploy it as a local web service, in a container.

        Parameters:
            workspace, name, models, image_config: as in `deploy_from_model`.
            deployment_config: from `LocalWebservice.deploy_configuration`.
            wait: return when the web service runs.

        Raises:
            WebserviceException: when the name is taken, a rule is broken, or the image cannot be built.

        """
        from mljupyter.core import image_deployment

        service = image_deployment.deploy_local(workspace, name, models, image_config, deployment_config)
        if wait:
            service.wait_for_deployment()
        return service

    @staticmethod
    def check_for_existing_webservice(
        workspace: Workspace, name: str, overwrite: bool = False, request_func: Any = None, check_func: Any = None
    ) -> None:
        """Raise when there is a web service of a name, unless it may be overwritten.

        Parameters:
            workspace: the workspace.
            name: the name.
            overwrite: True to raise nothing.
            request_func, check_func: as in Azure ML; not called.

        Raises:
            WebserviceException: when there is one.

        """
        from mljupyter.core import image_deployment

        image_deployment.check_name_is_free(workspace, name, overwrite=overwrite)
