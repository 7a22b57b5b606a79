"""The bootstrap script of a worker whose interpreter does not have mljupyter installed.

The server runs this file with the interpreter of the script's environment. It makes `mljupyter.scoring` importable
there, and nothing else of the server's packages: the script gets the packages of its own environment only.
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
    """Register `mljupyter.scoring` from this directory, below an `mljupyter` package that holds nothing else."""
    package = module_from_spec(ModuleSpec("mljupyter", None, is_package=True))
    package.__path__ = []
    sys.modules["mljupyter"] = package
    spec = spec_from_file_location(
        "mljupyter.scoring", os.path.join(_HERE, "__init__.py"), submodule_search_locations=[_HERE]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{_HERE} is not a package")
    scoring = module_from_spec(spec)
    sys.modules["mljupyter.scoring"] = scoring
    spec.loader.exec_module(scoring)
    package.scoring = scoring  # type: ignore[attr-defined]


def _remove_this_directory_from_path() -> None:
    # Python puts the directory of the file it runs first on the path; modules here must not hide other packages.
    if sys.path and os.path.abspath(sys.path[0]) == _HERE:
        del sys.path[0]


_remove_this_directory_from_path()
if "mljupyter.scoring" not in sys.modules:
    make_importable()

if __name__ == "__main__":
    from mljupyter.scoring.worker.worker import main

    sys.exit(main(sys.argv[1:]))
elif __name__ == "__mp_main__":  # a process that the script has started by multiprocessing
    from mljupyter.scoring.worker.script_module import offer_to_child

    __getattr__ = offer_to_child()
