"""The scoring script, for processes that its replica starts: they import it by this name, from this directory.

It replaces itself by the script. In the replica's own process nothing imports it.
"""

import sys
from pathlib import Path
from runpy import run_path

try:
    from mljupyter.scoring.worker import script_module
except ImportError:  # the environment of the script does not have mljupyter; the replica's own process used this too
    run_path(str(Path(__file__).parents[1] / "worker_bootstrap.py"))
    from mljupyter.scoring.worker import script_module

script_module.become_script(sys.modules[__name__])
