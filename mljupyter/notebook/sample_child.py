"""Child process of a test run: load a scoring script, call init() and run(sample) once, write the result.

It uses the code of a replica, so a script that passes here starts there. Arguments: the directory with the mljupyter
package, the file with the sample's text (empty to only load the script), the file for the result.
"""

from __future__ import annotations

import json
import sys

from mljupyter.scoring.logs.diagnostics import user_traceback, write_record
from mljupyter.scoring.worker.loading import load_script
from mljupyter.scoring.worker.script import ScriptError

# A request like those of clients: a script with a schema requires the content type.
HEAD = json.dumps(
    {"method": "POST", "query": "", "id": "sample", "headers": {"Content-Type": "application/json"}}
).encode()


def main(root: str, sample_path: str, answer_path: str) -> None:
    """Write ``{"stage": ..., "message": ..., "result": ...}`` to the result file; tracebacks go to standard error."""
    sys.path.append(root)

    answer: dict[str, object] = {}
    try:
        stage = "the script"
        script = load_script()
        stage = "init()"
        script.initialise()
    except ScriptError as error:
        answer = {"stage": stage, "message": str(error)}
        if error.__cause__ is not None:
            write_record("E", "azmlinfsrv.user_script", user_traceback(error.__cause__))
    else:
        with open(sample_path, "rb") as file:  # noqa: PTH123 - pathlib would be loaded for this alone
            status, _, _, body, _ = script.answer(HEAD if script.interface.needs_head else b"", file.read())
        answer = {"result": json.loads(body)} if status == 200 else {"stage": "run(sample)"} | json.loads(body)
    with open(answer_path, "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(answer, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
