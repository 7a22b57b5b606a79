"""Run the command line as ``python -m mljupyter.cli``."""

from __future__ import annotations

from mljupyter.cli import main

main()
