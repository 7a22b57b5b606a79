"""The command ``python -m mljupyter.scoring``: start a replica, which is a worker and the HTTP server in front of it.

With ``--template-socket`` it does not start a replica, but a shared zygote: the process from which the replicas of a
version have their workers forked.
"""

# ruff: noqa: E402, PTH120
# pathlib takes 3 ms to import, and every start of a replica would pay them in both processes.
from __future__ import annotations

import os
import sys

import mljupyter

_PACKAGE_ROOT = os.path.dirname(mljupyter.__path__[0])
if __name__ == "__main__" and not sys.flags.safe_path and sys.path[0] != _PACKAGE_ROOT:
    del sys.path[0]  # the current directory often holds the script; its modules must not hide those of the server

import signal
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mljupyter.scoring.configuration import Configuration
    from mljupyter.scoring.logs.capture import LogCapture  # late and in this order, as above
    from mljupyter.scoring.logs.insights import Insights  # late and in this order, as above


def main() -> int:
    """Serve a scoring script until a signal stops it; return the exit status (`exit_codes`)."""
    # Imported late and in this order, so that the worker starts while this process imports the HTTP server.
    from mljupyter.scoring import configuration, exit_codes
    from mljupyter.scoring.logs import capture  # late and in this order, as above
    from mljupyter.scoring.server import replica_key, sockets  # late and in this order, as above

    try:
        key = replica_key.take(os.environ)
        settings = configuration.parse(sys.argv[1:], os.environ)
        log = capture.LogCapture(capture.open_sink(settings), settings.log_level)
        recorder = _recorder(settings, log)
        listener = sockets.listen(settings)
    except (configuration.ConfigurationError, replica_key.ReplicaKeyError, OSError) as error:
        print(f"mljupyter.scoring: {error}", file=sys.stderr)
        return exit_codes.BAD_CONFIGURATION
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)  # until the HTTP server installs its own handlers
    log.start()
    for doubt in configuration.doubts(sys.argv[1:], settings):
        log.record("W", doubt)
    try:
        if settings.template_socket is not None:
            from mljupyter.scoring.server.zygote_manager import run_zygote  # late and in this order, as above

            return run_zygote(settings, listener, log)
        from mljupyter.scoring.server.worker_source import first_worker  # late and in this order, as above

        worker = first_worker(settings, log)
        from mljupyter.scoring.server.replica_server import serve  # late and in this order, as above

        return serve(settings, listener, log, worker, recorder, key)
    finally:
        sockets.close(listener, settings)
        if recorder is not None:
            recorder.close()
        log.close()


def _recorder(settings: Configuration, log: LogCapture) -> Insights | None:
    if not settings.insights:
        return None
    from mljupyter.scoring.logs.insights import open_insights  # only replicas that record requests pay the import

    return open_insights(settings, log)


def _stop(number: int, frame: FrameType | None) -> None:
    from mljupyter.scoring.exit_codes import STOPPED  # see main: nothing is imported before it has fixed sys.path

    sys.exit(STOPPED)


if __name__ == "__main__":
    sys.exit(main())
