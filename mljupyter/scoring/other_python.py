"""Start the worker in an interpreter that mljupyter is not installed in.

The front runs this file with the environment's Python. It makes `mljupyter.scoring`, and nothing else of what the
front has installed, importable there; so the script's packages are those of its own environment.
"""

# ruff: noqa: PTH100, PTH118, PTH120
# pathlib takes 3 ms to import, and every start of a replica would pay them in both processes.
from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location

_HERE = os.path.dirname(os.path.abspath(__file__))


def make_importable() -> None:
    """Let `mljupyter.scoring` be found here, beside an `mljupyter` that holds nothing else."""
    package = module_from_spec(ModuleSpec("mljupyter", None, is_package=True))
    package.__path__ = []
    sys.modules["mljupyter"] = package
    spec = spec_from_file_location(
        "mljupyter.scoring", os.path.join(_HERE, "__init__.py"), submodule_search_locations=[_HERE]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{_HERE} holds no package")
    scoring = module_from_spec(spec)
    sys.modules["mljupyter.scoring"] = scoring
    spec.loader.exec_module(scoring)
    package.scoring = scoring  # type: ignore[attr-defined]


def _forget_this_directory() -> None:
    # Python puts the directory of a file it runs first: modules there must not replace those of other packages.
    if sys.path and os.path.abspath(sys.path[0]) == _HERE:
        del sys.path[0]


_forget_this_directory()
if "mljupyter.scoring" not in sys.modules:
    make_importable()

if __name__ == "__main__":  # processes that the script starts by multiprocessing run what is above, too
    from mljupyter.scoring.worker.worker import main

    sys.exit(main(sys.argv[1:]))
