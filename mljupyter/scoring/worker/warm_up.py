"""Warm-up: the worker answers a sample request before it is ready, so that no client waits for work that is done once.

Libraries import parts of themselves, start threads, compile and allocate at the first prediction. A sample that fails
does not keep a replica from serving: real requests may be different.
"""

from __future__ import annotations

import os
from time import perf_counter

from mljupyter.scoring.logs.diagnostics import write_record
from mljupyter.scoring.protocol import WARM_UP, WARM_UP_ON
from mljupyter.scoring.worker.inference import NoSampleError
from mljupyter.scoring.worker.script import Script


def warm_up(script: Script) -> None:
    """Answer a sample request if that is asked for; by default for models without a script.

    What happens is in the log: as a warning if a script was to be warmed up and was not, else at the level DEBUG.
    """
    setting = os.environ.get(WARM_UP, "")
    if not (setting == WARM_UP_ON or (not setting and os.environ.get("MLJUPYTER_NO_CODE"))):
        return
    level = "W" if setting else "D"
    start = perf_counter()
    try:
        script.try_sample()
    except NoSampleError as error:
        write_record(level, "azmlinfsrv", f"no warm-up: {error}")
    except BaseException as error:  # noqa: BLE001 (user code may raise anything, SystemExit too)
        write_record(level, "azmlinfsrv", f"warm-up: the sample request raised {type(error).__name__}: {error}")
    else:
        write_record("D", "azmlinfsrv", f"warm-up: a sample request took {perf_counter() - start:.3f} s")
