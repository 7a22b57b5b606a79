"""Whether scripts start, by the code of one of the servers: ``python script_starts.py ours|theirs < CASES``.

CASES is JSON: by the name of the case, the entry script and the text of each file. Each case has a fork of this
process, which is much quicker than a start of the server for each. The answer is JSON: ``starts`` or ``fails``.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path


def _theirs(root: str, entry: str) -> None:
    from azureml_inference_server_http.server.user_script import UserScript

    sys.path.append(root)  # aml_blueprint does so when it is imported
    script = UserScript(entry)
    script.load_script(root)
    script.invoke_init()


def _ours(root: str, entry: str) -> None:
    from mljupyter.scoring.worker.loading import load_script

    os.environ.update({"AML_APP_ROOT": root, "AZUREML_ENTRY_SCRIPT": entry})
    load_script().initialise()


def _starts(kind: str, entry: str, files: dict[str, str]) -> bool:
    with tempfile.TemporaryDirectory(prefix="mlj") as root:
        for name, text in files.items():
            path = Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
        pid = os.fork()
        if pid == 0:
            status = 3
            try:
                os.chdir(root)
                with Path(os.devnull).open("w") as nowhere:
                    os.dup2(nowhere.fileno(), 1)
                {"ours": _ours, "theirs": _theirs}[kind](root, entry)
                status = 0
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def main(kind: str) -> None:
    """Print what becomes of each case."""
    if kind == "theirs":
        for name in ("azureml_inference_server_http.server.user_script", "inference_schema.schema_decorators"):
            import_module(name)  # the forks share it
    found = {}
    for name, case in json.load(sys.stdin).items():
        found[name] = {"start": "starts" if _starts(kind, case["entry"], case["files"]) else "fails"}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
