"""Child process of a test run: load a scoring script, call init() and run(sample) once, write the result.

It uses the code of a replica, so a script that passes here starts there. Arguments: the directory with the mljupyter
package, the file with the sample's text (empty to only load the script), the file for the result.
"""

from __future__ import annotations

import json
import sys

from mljupyter.scoring.logs.diagnostics import user_traceback, write_record
from mljupyter.scoring.worker.loading import load_script
from mljupyter.scoring.worker.results import ResultError
from mljupyter.scoring.worker.script import Script, ScriptError
from mljupyter.scoring.worker.script_module import offer_to_child

# A request like those of clients: a script with a schema requires the content type.
HEAD = json.dumps(
    {"method": "POST", "query": "", "id": "sample", "headers": {"Content-Type": "application/json"}}
).encode()
FIRST_FAILURE = 400
"""The first HTTP status that is no success."""
MOST_TEXT = 300
"""The most characters of an answer that an error message repeats."""


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
            answer = answer_of(*run(script, file.read()))
    with open(answer_path, "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(answer, file)


def run(script: Script, sample: bytes) -> tuple[int, bytes]:
    """Return the status and the whole body of the answer to a sample; one in pieces is read to its end."""
    status, _, _, body, _ = script.answer(HEAD if script.interface.needs_head else b"", sample)
    if isinstance(body, bytes):
        return status, body
    try:
        return status, b"".join(body)
    except ResultError as error:
        status, _, _, body, _ = script.not_sent(error, 0.0)
    except BaseException as error:  # noqa: BLE001 (user code may raise anything, SystemExit too)
        status, _, _, body, _ = script.failed(error, 0.0)
    return status, body


def answer_of(status: int, body: bytes) -> dict[str, object]:
    """Return what the result file says: the value that a client reads, or why the answer is no success.

    A script chooses the body of its answers with `AMLResponse`: any text, or none.
    """
    text = body.decode("utf-8", errors="replace")
    try:
        value = json.loads(body)
    except ValueError:
        value = text
    if status < FIRST_FAILURE:
        return {"result": value}
    message = value.get("message") if isinstance(value, dict) else None
    if not isinstance(message, str):
        message = f"run() answered {status}: {text[:MOST_TEXT]}".rstrip(": ")
    return {"stage": "run(sample)", "message": message}


if __name__ == "__main__":
    main(*sys.argv[1:])
elif __name__ == "__mp_main__":  # a process that the script has started by multiprocessing
    __getattr__ = offer_to_child()
