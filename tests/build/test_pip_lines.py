"""Lines of requirements files. The source of truth is pip: its own parser reads the same files here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mljupyter.build.environments.local_files import absolute_lines, lines_of_file, local_files, moved
from mljupyter.build.environments.pip_lines import RequirementError, decoded, expanded, logical_lines, pip_line

# Prints what pip's parser takes from a file: requirements with their options, and the options of the file.
PIP = """
import sys
from pip._internal.network.session import PipSession
from pip._internal.req.req_file import RequirementsFileParser, get_line_parser
for line in RequirementsFileParser(PipSession(), get_line_parser(None)).parse(sys.argv[1], False):
    opts = line.opts
    if line.is_requirement:
        print("-e" if line.is_editable else "", line.requirement, sorted((getattr(opts, "hashes", None) or {}).items()))
        continue
    for name in ("index_url", "pre", "no_index", "prefer_binary", "require_hashes"):
        if getattr(opts, name, None):
            print(name, getattr(opts, name))
    for name in ("extra_index_urls", "find_links", "trusted_hosts"):
        for value in getattr(opts, name, None) or []:
            print(name, value)
    control = getattr(opts, "format_control", None)
    for kind in ("no_binary", "only_binary") if control else ():
        for value in sorted(getattr(control, kind)):
            print(kind, value)
"""
NAMES = {
    "--index-url": "index_url",
    "--extra-index-url": "extra_index_urls",
    "--find-links": "find_links",
    "--trusted-host": "trusted_hosts",
    "--no-binary": "no_binary",
    "--only-binary": "only_binary",
    "--pre": "pre",
    "--no-index": "no_index",
    "--prefer-binary": "prefer_binary",
    "--require-hashes": "require_hashes",
}
HASH = "sha256:" + "0" * 64
FILE = f"""\
# a comment
six==1.16.0  # why
toolz \\
  >=0.12 ; python_version > "3"
roman==4. \\
2
click[a,b]>=8;python_version<"4" and sys_platform!="x"
-ihttps://example.org/simple#not-a-comment
--extra-index-url=https://two.example.org/simple
--extra https://three.example.org
--find-links https://example.org/files
-fhttps://example.org/more
--pre
--prefer-binary
--no-binary=numpy
--only-binary pandas
--trusted-host example.org
attrs==23.1 --hash={HASH} \\
    --hash=sha512:{"1" * 128}
-rmore/two.txt
packaging @ https://example.org/packaging.whl#sha256=abc
git+https://example.org/x.git@v1#egg=x
-e git+https://example.org/y.git#egg=y
"""


def as_pip_prints(lines: list[str]) -> list[str]:
    found = []
    for line in lines:
        parsed = pip_line(line)
        if parsed.requirement:
            hashes: dict[str, list[str]] = {}
            for one in parsed.hashes:
                kind, _, value = one.partition(":")
                hashes.setdefault(kind, []).append(value)
            found.append(f"{'-e' if parsed.editable else ''} {parsed.requirement} {sorted(hashes.items())}")
        found += [f"{NAMES[name]} {True if value is None else value}" for name, value in parsed.options]
    return found


def read_by_pip(file: Path) -> list[str]:
    finished = subprocess.run([sys.executable, "-c", PIP, str(file)], check=True, capture_output=True, text=True)
    return finished.stdout.splitlines()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_is_read_as_pip_reads_it(encoding: str, tmp_path: Path) -> None:
    # utf-16 is what `pip freeze > requirements.txt` of PowerShell writes, with the line ends of Windows.
    (tmp_path / "more").mkdir()
    (tmp_path / "more/two.txt").write_text("-r three.txt\n")
    (tmp_path / "more/three.txt").write_text("humanize\n")
    file = tmp_path / "requirements.txt"
    file.write_bytes((FILE if encoding == "utf-8" else FILE.replace("\n", "\r\n")).encode(encoding))
    ours = lines_of_file(file)
    assert as_pip_prints(ours) == read_by_pip(file)
    assert absolute_lines(ours, tmp_path) == ours  # the form does not change again


def test_utf_32_and_text_that_is_none_are_told_apart() -> None:
    assert decoded("six".encode("utf-32")) == "six"
    with pytest.raises(UnicodeDecodeError):
        decoded("é".encode("latin-1"))


def test_a_backslash_at_the_end_of_the_file_ends_the_line() -> None:
    assert logical_lines("six \\") == ["six"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--no-such-option x", "no such option: --no-such-option"),
        ("-r", "-r option requires 1 argument"),
        ("six --index-url https://user:secret@example.org", "Give it its own line"),
        ("six --config-settings a=b", "--config-settings is not supported"),
        ("./pk -Ca=b", "--config-settings is not supported"),
        ('./pk --global-option="--fast" --config-setting=a=b', "--global-option is not supported"),
        ("--find-links 'a", "No closing quotation"),
        ("--hash sha256:0", "without a requirement"),
    ],
)
def test_a_line_that_cannot_be_honoured_is_refused_by_name(line: str, said: str) -> None:
    with pytest.raises(RequirementError, match=said) as caught:
        pip_line(line)
    assert "secret" not in caught.value.message


def test_paths_are_those_of_the_file_that_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # conda runs pip in the directory of its file; pip looks up -r, -c and --find-links beside the file.
    place, here = tmp_path / "pro ject", tmp_path / "here"
    (place / "wheels").mkdir(parents=True)
    (here / "only-here").mkdir(parents=True)
    (place / "c.txt").write_text("six<2\n")
    monkeypatch.chdir(here)
    (place / "requirements.txt").write_text(
        "./pk[dev] ; python_version > '3'\n-e.\n-cc.txt\n-f wheels\nwheels/tiny-1.0-py3-none-any.whl\n"
        "tiny @ file:./wheels/tiny-1.0-py3-none-any.whl#sha256=0a\nfile:pk#egg=pk\n./only-here\nsix\nb.zip\n"
    )
    quoted = str(place).replace(" ", "%20")
    assert lines_of_file(place / "requirements.txt") == [
        f"{place}/pk[dev] ; python_version > '3'",
        f"-e '{place}'",
        f"--constraint file://{quoted}/c.txt",
        f"--find-links file://{quoted}/wheels",
        f"{place}/wheels/tiny-1.0-py3-none-any.whl",
        f"tiny @ file://{quoted}/wheels/tiny-1.0-py3-none-any.whl#sha256=0a",
        f"file://{quoted}/pk#egg=pk",
        f"{here}/only-here",
        "six",
        f"{place}/b.zip",
    ]


def test_the_content_of_local_files_is_known_without_what_tools_leave_there(tmp_path: Path) -> None:
    (tmp_path / "pk/build").mkdir(parents=True)
    (tmp_path / "pk/a.py").write_text("A = 1")
    (tmp_path / "c.txt").write_text("-c d.txt\n")
    (tmp_path / "d.txt").write_text("six<2\n")
    lines = [f"-e {tmp_path}/pk", f"--constraint {tmp_path}/c.txt", f"{tmp_path}/gone.whl", "six"]
    first = local_files(lines)
    assert [file.path.name for file in first] == ["c.txt", "pk"]
    (tmp_path / "pk/build/lib.py").write_text("A = 1")
    assert local_files(lines) == first
    (tmp_path / "pk/a.py").write_text("A = 22")
    (tmp_path / "d.txt").write_text("six<3\n")  # a list that the list refers to
    assert all(one.digest != other.digest for one, other in zip(first, local_files(lines), strict=True))


def test_paths_move_with_name_extras_marker_and_fragment(tmp_path: Path) -> None:
    places = {tmp_path / "a.whl": "/in/a.whl", tmp_path / "c.txt": "/in/c.txt"}
    assert moved(f"{tmp_path}/a.whl[x] ; os_name", places) == "/in/a.whl[x] ; os_name"
    assert moved(f"a[x] @ file://{tmp_path}/a.whl#sha256=0", places) == "a[x] @ file:///in/a.whl#sha256=0"
    assert moved(f"--constraint {tmp_path}/c.txt", places) == "--constraint /in/c.txt"
    assert moved(f"{tmp_path}/other.whl", places) == f"{tmp_path}/other.whl"


def test_a_variable_without_a_value_is_an_error_that_names_it() -> None:
    with pytest.raises(RequirementError, match="TOKEN of the line .* is not set"):
        expanded("--index-url https://${TOKEN}@example.org", {})
