"""Container images: a scoring script, models and environment with a server.

Azure: azureml.core.image.container.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mljupyter.core.image.configuration import ContainerImageConfig
from mljupyter.core.image.image import Image
from mljupyter.deploy.images import smoke_test
from mljupyter.deploy.images.registered_image import make_present
from mljupyter.exceptions import as_webservice_exception

if TYPE_CHECKING:
    from mljupyter.core import ContainerRegistry


class ContainerImage(Image):
    """An image whose containers answer scoring requests."""

    @staticmethod
    def image_configuration(  # type: ignore[override]  # each kind of image has its own arguments
        execution_script: str,
        runtime: str,
        conda_file: str | None = None,
        docker_file: str | None = None,
        schema_file: str | None = None,
        dependencies: Sequence[str] | None = None,
        enable_gpu: bool | None = None,
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        description: str | None = None,
        base_image: str | None = None,
        base_image_registry: ContainerRegistry | None = None,
        cuda_version: str | None = None,
    ) -> ContainerImageConfig:
        """Return a configuration for `create`.

        Parameters:
            execution_script: the scoring script: a file name in the current directory.
            runtime: ``python``; ``spark-py`` is refused when the image is created.
            conda_file: the environment, as a conda environment file.
            docker_file: a file with additional Dockerfile instructions.
            schema_file, dependencies: files and directories that are put beside the script under their own names.
            enable_gpu: use a base image for GPUs.
            tags, properties, description: of the image.
            base_image: a base image, in place of the default one.
            base_image_registry: address, user name and password of its registry.
            cuda_version: 9.0, 9.1 or 10.0, only with `enable_gpu`. It is checked only: the base image has its CUDA.

        Raises:
            WebserviceException: a rule is broken.

        """
        return ContainerImageConfig(**locals())

    def run(self, input_data: str | bytes, gpu_enabled: bool | None = None) -> Any:
        """Start a container of the image on the Docker engine, send it one request, and remove it.

        Parameters:
            input_data: the body of the request.
            gpu_enabled: without effect.

        Returns:
            The decoded JSON of the answer, or its text if it is not JSON.

        Raises:
            WebserviceException: the image is not ready, its container does not start, or it answers with an error.

        """
        self.wait_for_creation()
        with as_webservice_exception():
            return smoke_test.run(make_present(self.workspace.context, self.record), input_data)
