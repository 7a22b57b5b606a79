"""Images of deployments: build or reuse, pull, tag, test, remove.

These modules are imported when they are used for the first time, as those of `mljupyter.deploy`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mljupyter.lazy import lazy_names

if TYPE_CHECKING:
    from mljupyter.deploy.images import environment_image, files, served_image

__all__ = ["environment_image", "files", "served_image"]

__getattr__, __dir__ = lazy_names(__name__, {}, modules=__all__)
