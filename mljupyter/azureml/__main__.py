"""Run an old script unedited: ``python -m mljupyter.azureml script.py [ARGUMENTS]``, or ``-m module [ARGUMENTS]``."""

from __future__ import annotations

import sys

from mljupyter.azureml.script import main

if __name__ == "__main__":
    main(sys.argv[1:])
