"""Deploy machine learning models from a notebook.

The import of this package is cheap, since it imports none of its parts. `mljupyter.core` is the SDK.
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["__version__", "load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: object) -> None:
    """Register the magics. IPython calls this for ``%load_ext mljupyter``."""
    from mljupyter.magics.registration import load  # importing the package costs nothing

    load(shell)


def unload_ipython_extension(shell: object) -> None:
    """Remove the magics. IPython calls this for ``%unload_ext mljupyter``."""
    from mljupyter.magics.registration import unload  # importing the package costs nothing

    unload(shell)
