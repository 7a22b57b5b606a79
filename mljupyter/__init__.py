"""Deploy machine learning models from a notebook.

Importing this package costs nothing: each part is imported by whoever uses it. `mljupyter.core` is the SDK.
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["__version__", "load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: object) -> None:
    """Make the magics available: what ``%load_ext mljupyter`` calls."""
    from mljupyter.magics.registration import load  # importing the package costs nothing

    load(shell)


def unload_ipython_extension(shell: object) -> None:
    """Take the magics away again: what ``%unload_ext mljupyter`` calls."""
    from mljupyter.magics.registration import unload  # importing the package costs nothing

    unload(shell)
