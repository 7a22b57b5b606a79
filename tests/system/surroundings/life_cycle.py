"""Deploy, score, read logs and delete, with the SDK and the command line. `test_surroundings.py` runs it.

Its arguments are a directory to work in and, if the clock is to change, the file of `clock.c`. It prints ``DONE`` last.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

TEXT = "größe ☃"
SCRIPT = """
import os

def init():
    global text
    (file,) = os.listdir(os.environ["AZUREML_MODEL_DIR"])
    text = open(os.path.join(os.environ["AZUREML_MODEL_DIR"], file)).read()
    print("init says", text)

def run(data):
    print("run says", text, data)
    return {"text": text, "data": data}
"""
DAY = 24 * 3600


def named(wanted: str, plain: str) -> str:
    """Return the name that is wanted if this file system's encoding has it."""
    with suppress(UnicodeEncodeError):
        os.fsencode(wanted)
        return wanted
    return plain


def command(*arguments: str) -> str:
    """Run the command line in this process, and return its output as the terminal would get it."""
    from mljupyter.cli import main

    own = sys.stdout
    output = io.BytesIO()
    stream = io.TextIOWrapper(output, encoding=own.encoding, errors="strict", write_through=True)
    sys.argv = ["mljupyter", *arguments]
    sys.stdout = stream
    try:
        main()
        raise AssertionError("the command line has not ended")
    except SystemExit as end:
        assert not end.code, (arguments, end.code, output.getvalue())
    finally:
        sys.stdout = own
    stream.flush()
    in_ascii = codecs.lookup(stream.encoding).name == "ascii"
    return output.getvalue().decode("utf-8" if in_ascii else stream.encoding)  # click takes ASCII for UTF-8 not set up


def set_clock(file: Path, started: int, seconds: int) -> None:
    """Set the clock of all processes off by a number of seconds, as the system shows it."""
    with file.open("r+b") as offset:
        offset.write(struct.pack("q", seconds))
    stat = Path("/proc/stat")
    text = re.sub(r"(?m)^btime \d+", f"btime {started + seconds:010d}", stat.read_text(encoding="ascii"))
    with stat.open("r+", encoding="ascii") as present:
        present.write(text)


def serving() -> dict[int, str]:
    """Return the processes of router and replicas, with their command lines."""
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (directory / "cmdline").read_bytes()
            if b"mljupyter.scoring" in line or b"--config-path" in line:
                found[int(directory.name)] = line.replace(b"\0", b" ").decode(errors="replace")
    return found


def main() -> None:
    """Run through the life of an endpoint."""
    work = Path(sys.argv[1])
    clock = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    work.mkdir(parents=True, exist_ok=True)
    os.chdir(work)
    source = work / named("source dir é", "source dir")
    source.mkdir()
    (source / "score.py").write_text(SCRIPT, encoding="utf-8")
    model_file = work / named("grüße.txt", "plain.txt")
    model_file.write_text(TEXT, encoding="utf-8")

    from mljupyter.core import InferenceConfig, Model, Workspace
    from mljupyter.core.webservice import AksWebservice
    from mljupyter.runtimes.process.processes import Identity

    workspace = Workspace.create("world")
    model = Model.register(workspace, str(model_file), "greeting", tags={"größe": "☃"}, description=TEXT)
    service = Model.deploy(
        workspace,
        "plain",
        [model],
        InferenceConfig(entry_script="score.py", source_directory=str(source)),
        AksWebservice.deploy_configuration(
            token_auth_enabled=True, auth_enabled=False, autoscale_enabled=False, num_replicas=1
        ),
        deployment_target=workspace.compute_targets["local"],
    )
    service.wait_for_deployment(show_output=True)
    body = json.dumps({"x": "é☃"}, ensure_ascii=False)
    assert service.run(body) == {"text": TEXT, "data": body}

    if clock is not None:
        found = re.search(r"(?m)^btime (\d+)", Path("/proc/stat").read_text(encoding="ascii"))
        assert found is not None
        processes, before = serving(), time.time() - time.monotonic()
        known = [Identity.of(pid) for pid in processes]
        for seconds in (DAY, -DAY // 2):  # a clock that is ahead by a day, and one that is set back by more than a day
            set_clock(clock, int(found[1]), seconds)
            assert abs(time.time() - time.monotonic() - before - seconds) < 60
            assert all(identity is not None and identity.alive() for identity in known), "their starts are known"
            workspace.controller.stop()  # the next one sees other start times of the same processes
            workspace.controller.ensure()
            service.update_deployment_state()
            assert service.run(body) == {"text": TEXT, "data": body}
            service.wait_for_deployment()
            now = serving()
            changed = {pid: line for pid, line in {**processes, **now}.items() if (pid in processes) != (pid in now)}
            assert not changed, f"router and replicas are those of before, but for {changed}"

    ends_at = time.monotonic() + float(os.environ["HANG_SECONDS"])
    while f"run says {TEXT}" not in service.get_logs() and time.monotonic() < ends_at:
        time.sleep(0.1)
    logs = command("service", "get-logs", "-n", "plain", "-w", "world")
    shown = {TEXT, TEXT.encode(sys.stdout.encoding, "backslashreplace").decode(sys.stdout.encoding)}
    assert any(f"init says {text}" in logs and f"run says {text}" in logs for text in shown), ascii(logs)
    (work / "input.json").write_text(body, encoding="utf-8")
    answer = command("service", "run", "-n", "plain", "-w", "world", "-d", "@input.json")
    assert json.loads(answer) == {"text": TEXT, "data": body}, ascii(answer)
    assert "greeting" in command("model", "list", "-w", "world")
    command("service", "delete", "-n", "plain", "-w", "world")
    assert workspace.webservices == {}
    workspace.controller.stop(force=True)
    print("DONE")


if __name__ == "__main__":
    main()
