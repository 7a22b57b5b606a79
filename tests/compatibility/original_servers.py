"""Start azureml-inference-server-http once for each script: ``python original_servers.py < SERVERS``.

SERVERS is a line of JSON, a list: the directory with `score.py`, the port, and the environment of each server. They end
with the end of the input. They are forks of this process, which has imported the large packages that all of them need.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from importlib import import_module

FLAGS = ("--entry_script", "score.py", "--model_dir", ".", "--port")

_PRELOADED = (
    "azureml_inference_server_http.server.appinsights_client",
    "azureml_inference_server_http.server.user_script",
    "flask_cors",
    "gunicorn.app.wsgiapp",
    "inference_schema.parameter_types.pandas_parameter_type",
)


def _serve(directory: str, port: int, environment: dict[str, str]) -> None:
    os.chdir(directory)
    descriptor = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update(environment)
    sys.argv = ["azmlinfsrv", *FLAGS, str(port)]
    from azureml_inference_server_http import amlserver

    amlserver.run()


def main() -> None:
    """Serve until the input ends."""
    servers = json.loads(sys.stdin.readline())
    for name in _PRELOADED:
        import_module(name)
    for name in [name for name in sys.modules if name.startswith("azureml_inference_server_http")]:
        del sys.modules[name]  # its modules read the environment when they are imported
    children = []
    for server in servers:
        pid = os.fork()
        if pid == 0:
            try:
                _serve(**server)
            finally:
                os._exit(1)
        children.append(pid)
    sys.stdin.read()
    for pid in children:
        os.kill(pid, signal.SIGTERM)
    for pid in children:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
