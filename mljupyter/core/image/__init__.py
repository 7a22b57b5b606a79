"""Images: built of scoring script, models and environment, registered, and deployed.

Azure: azureml.core.image.

>>> config = ContainerImage.image_configuration("score.py", "python", conda_file="environment.yml")  # doctest: +SKIP
>>> image = ContainerImage.create(ws, "myimage", [model], config)                                    # doctest: +SKIP
>>> image.wait_for_creation(show_output=True)                                                        # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mljupyter.core.image.configuration import ContainerImageConfig, ImageConfig
    from mljupyter.core.image.container import ContainerImage
    from mljupyter.core.image.image import Image

_HOME_OF = {
    "ContainerImage": "container",
    "ContainerImageConfig": "configuration",
    "Image": "image",
    "ImageConfig": "configuration",
}

__all__ = ["ContainerImage", "ContainerImageConfig", "Image", "ImageConfig"]


def __getattr__(name: str) -> Any:
    """Import a name from its module when it is used for the first time."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
