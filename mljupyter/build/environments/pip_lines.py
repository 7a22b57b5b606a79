"""Lines of requirements files, read by pip's grammar. Nothing is looked up on this machine.

The grammar is that of pip's own parser: continuation lines, comments, ``${VARIABLE}``, and options that are shortened
or glued to their values. (pip: Requirements File Format.)
"""

from __future__ import annotations

import codecs
import optparse
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn
from urllib.parse import quote, unquote

from mljupyter.build.environments.redaction import redacted
from mljupyter.errors import MLJupyterError

_FLAGS = ("--no-index", "--pre", "--prefer-binary", "--require-hashes")
_WITH_VALUE = (
    ("-i", "--index-url", "--pypi-url"),
    ("--extra-index-url",),
    ("-f", "--find-links"),
    ("-r", "--requirement"),
    ("-c", "--constraint"),
    ("-e", "--editable"),
    ("--no-binary",),
    ("--only-binary",),
    ("--trusted-host",),
    ("--use-feature",),
    ("--hash",),
    ("-C", "--config-settings", "--config-setting"),
    ("--global-option",),
)
_OF_A_REQUIREMENT = ("--hash", "--config-settings", "--global-option")
_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_SCHEME = re.compile(r"(?:(?:git|hg|svn|bzr)\+[a-z+]+|https?|ftp|file):", re.IGNORECASE)
_EXTRAS = re.compile(r"(?P<rest>.+?)\s*(?P<extras>\[[^\[\]/]*\])")
_NAMED = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(?P<extras>\[[^\]]*\])?\s*@\s*(?P<place>\S.*)", re.DOTALL
)
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tar.lz", ".tlz")
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class RequirementError(MLJupyterError):
    """A line of an environment's definition is not a valid requirement."""


@dataclass(frozen=True)
class PipLine:
    """One line for pip: a requirement with its hashes, or options.

    Parameters:
        requirement: the requirement; empty for a line with options.
        editable: whether the requirement has the option ``-e``.
        hashes: the values of its ``--hash`` options.
        options: the long names of other options with their values; None for a flag.

    """

    requirement: str = ""
    editable: bool = False
    hashes: tuple[str, ...] = ()
    options: tuple[tuple[str, str | None], ...] = ()

    def texts(self) -> list[str]:
        """Return the same as lines of one form: a requirement, or one option with its long name and a space."""
        if self.editable:
            return [f"-e {_shown(self.requirement)}"]
        if self.requirement:
            return [" ".join((self.requirement, *(f"--hash={value}" for value in self.hashes)))]
        return [name if value is None else f"{name} {_shown(value)}" for name, value in self.options]


@dataclass(frozen=True)
class Source:
    """A requirement that names the place of its package instead of a version.

    Parameters:
        place: an absolute or relative path, or a URL with another scheme than ``file``; without fragment.
        is_path: whether the place is a path.
        name: the name of the package; None where only the package itself has it.
        extras: the extras in brackets; may be empty.
        fragment: the fragment of the URL with its ``#``; may be empty.
        marker: the marker after the semicolon; may be empty.

    """

    place: str
    is_path: bool
    name: str | None = None
    extras: str = ""
    fragment: str = ""
    marker: str = ""

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel, which needs no build."""
        return self.place.lower().endswith(".whl")

    @property
    def project(self) -> str | None:
        """The name of the package, as far as the line or the name of the wheel says it."""
        return self.name or (self.place.rpartition("/")[2].split("-")[0] if self.is_wheel else None)

    def text(self) -> str:
        """Return the requirement: a path where it was one and has no name, otherwise with a URL."""
        marker = f" ; {self.marker}" if self.marker else ""
        if self.is_path and self.name is None and not self.fragment:
            return f"{self.place}{self.extras}{marker}"
        return self.url_text()

    def url_text(self) -> str:
        """Return the requirement with a URL, which a name may precede."""
        marker = f" ; {self.marker}" if self.marker else ""
        url = f"file://{quote(self.place)}" if self.is_path else self.place
        name = self.project if self.is_wheel else self.name
        if name is not None:
            return f"{name}{self.extras} @ {url}{self.fragment}{marker}"
        return f"{url}{self.extras}{self.fragment}{marker}"


def decoded(content: bytes) -> str:
    """Return the text of a file: by its byte order mark, such as that of PowerShell's UTF-16, otherwise UTF-8.

    Raises:
        UnicodeDecodeError: it is not such text.

    >>> decoded("six".encode("utf-16")), decoded(b"six")
    ('six', 'six')
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding)
    return content.decode("utf-8")


def logical_lines(text: str) -> list[str]:
    r"""Return the lines of a requirements file without comments; one that ends in ``\`` goes on in the next.

    >>> logical_lines("six==1. \\\n16 # old\n# none\n\ntoolz")
    ['six==1. 16', 'toolz']
    """
    joined: list[str] = []
    begun: list[str] = []
    for line in text.splitlines():
        comment = _COMMENT.match(line) is not None
        if line.endswith("\\") and not comment:
            begun.append(line.strip("\\"))
            continue
        joined.append("".join([*begun, f" {line}" if comment else line]))
        begun = []
    joined += ["".join(begun)] if begun else []
    return [line for text in joined if (line := _COMMENT.sub("", text).strip())]


def pip_line(line: str) -> PipLine:
    """Return the content of a line without comment.

    Raises:
        RequirementError: pip has no such option, or a value is missing.

    >>> pip_line("-ihttps://example.org/simple").options, pip_line("-e./pk").requirement
    ((('--index-url', 'https://example.org/simple'),), './pk')
    """
    words = line.strip().split(" ")
    first = next((number for number, word in enumerate(words) if word.startswith("-")), len(words))
    requirement = " ".join(words[:first]).strip()
    found: list[tuple[str, str | None]] = []
    try:
        _, rest = _parser(found).parse_args(shlex.split(" ".join(words[first:])))
    except ValueError as error:  # a quotation without end, or an option
        raise RequirementError(
            f"{redacted(line)!r} is not a line for pip: {error}.\n"
            "Rule: a requirement such as numpy==1.26.4, or options of requirements files such as --index-url URL."
        ) from None
    if rest:
        after = redacted(" ".join(rest))
        raise RequirementError(f"{redacted(line)!r} is not a line for pip: {after!r} follows an option.")
    hashes = tuple(value for name, value in found if name == "--hash" and value)
    others = tuple((name, value) for name, value in found if name not in _OF_A_REQUIREMENT)
    if refused := [name for name, _ in found if name in ("--config-settings", "--global-option")]:
        raise RequirementError(
            f"{redacted(line)!r}: {refused[0]} is not supported: the package would be built without it.\n"
            "Build a wheel with it (pip wheel), and list that."
        )
    if requirement:
        if others:
            raise RequirementError(
                f"{redacted(line)!r}: pip ignores {others[0][0]} after a requirement. Give it its own line."
            )
        return PipLine(requirement, hashes=hashes)
    editable = [value for name, value in others if name == "--editable" and value]
    if editable:
        if len(others) > 1:
            raise RequirementError(f"{redacted(line)!r} has several options: give -e its own line.")
        return PipLine(editable[0], editable=True)
    if hashes:
        raise RequirementError(f"{redacted(line)!r} has --hash without a requirement: join the lines with a backslash.")
    return PipLine(options=others)


def source_of(requirement: str) -> Source | None:
    """Return the place that a requirement names; None for a package of an index.

    >>> source_of("./pk[dev] ; python_version > '3'").place, source_of("six @ file:///x/six.whl").place
    ('./pk', '/x/six.whl')
    >>> source_of("six>=1"), source_of("git+https://example.org/x@v1").is_path
    (None, False)
    """
    text = requirement.strip()
    named = _NAMED.fullmatch(text)
    if named is not None and "/" not in text[: named.start("place")]:
        place, marker = _split_marker(named["place"])
        return replace(_placed(place), name=named["name"], extras=named["extras"] or "", marker=marker)
    place, marker = _split_marker(text)
    bare = match["rest"] if (match := _EXTRAS.fullmatch(place)) else place
    is_url = _SCHEME.match(place) is not None
    looks_like_path = "/" in bare or bare.startswith(".") or bare.lower().endswith(_ARCHIVES)
    if not is_url and not looks_like_path:
        return None
    if is_url and "#" in place:
        return replace(_placed(place), marker=marker)
    return replace(_placed(bare), extras=match["extras"] if match else "", marker=marker)


def line_source(line: str) -> Source | None:
    """Return the place that a line of requirements names, editable or not; None for all other lines."""
    parsed = pip_line(line)
    return source_of(parsed.requirement) if parsed.requirement else None


def copied(line: str) -> str:
    """Return a line without ``-e``: the package is copied, so that the environment keeps the code it was built with."""
    parsed = pip_line(line)
    return replace(parsed, editable=False).texts()[0] if parsed.editable else line


def variables_in(lines: Iterable[str]) -> list[str]:
    """Return the names of the environment variables in lines, such as TOKEN for ``${TOKEN}``."""
    return list(dict.fromkeys(name for line in lines for name in _VARIABLE.findall(line)))


def expanded(line: str, variables: Mapping[str, str]) -> str:
    """Return a line with the values of its environment variables.

    Raises:
        RequirementError: a variable is not set.

    >>> expanded("--index-url https://${TOKEN}@example.org", {"TOKEN": "t"})
    '--index-url https://t@example.org'
    """
    for name in variables_in([line]):
        if not variables.get(name):
            raise RequirementError(
                f"The environment variable {name} of the line {redacted(line)!r} is not set.\n"
                f"Set it before the environment is built: os.environ[{name!r}] = ..."
            )
    return _VARIABLE.sub(lambda match: variables[match[1]], line)


def _placed(place: str) -> Source:
    """Return the source of a path or URL without name and marker."""
    url, hash_sign, fragment = place.partition("#")
    if url.lower().startswith("file:"):
        path = url[len("file:") :]
        if path.startswith("//"):
            path = path[2:].removeprefix("localhost")
        return Source(unquote(path), is_path=True, fragment=hash_sign + fragment)
    if _SCHEME.match(url):
        return Source(url, is_path=False, fragment=hash_sign + fragment)
    return Source(place, is_path=True)


def _split_marker(text: str) -> tuple[str, str]:
    """Split at the semicolon before a marker. In a URL, it follows a space (PEP 508)."""
    separator = r"\s;|;\s" if _SCHEME.match(text) else r"\s*;"
    parts = re.split(separator, text, maxsplit=1)
    return parts[0].strip(), parts[1].strip() if len(parts) > 1 else ""


def _shown(value: str) -> str:
    return shlex.quote(value) if re.search(r"[\s'\"\\]", value) else value


def _parser(found: list[tuple[str, str | None]]) -> optparse.OptionParser:
    """Return a parser that adds each option with its long name to a list. pip uses the same module."""

    class Parser(optparse.OptionParser):
        def error(self, msg: str) -> NoReturn:
            raise ValueError(redacted(msg))

    def note(option: optparse.Option, _: str, value: Any, __: optparse.OptionParser) -> None:
        found.append((option.get_opt_string(), value))

    parser = Parser(add_help_option=False)
    for name in _FLAGS:
        parser.add_option(name, action="callback", callback=note)
    for names in _WITH_VALUE:
        parser.add_option(*names, action="callback", callback=note, type="string")
    return parser
