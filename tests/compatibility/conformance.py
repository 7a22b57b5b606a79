"""The comparison of mljupyter's azureml with azureml-core 1.61, and the page docs/azureml.md that is made from it.

``python -m tests.compatibility.conformance`` writes the page. ``--differences`` prints what the list of reasons lacks,
and what is in it for no reason.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from mljupyter.azureml import hook
from mljupyter.azureml.modules import MODULES
from mljupyter.azureml.reasons import sentence

HERE = Path(__file__).parent
TABLE = HERE / "azureml-1.61.txt"
REASONS = HERE / "azureml-differences.toml"
PAGE = HERE.parent.parent / "docs" / "azureml.md"
INTRODUCTION = HERE / "azureml-introduction.md"

State = Literal["same", "different", "not there"]
_ABSENT = object()
_MOST_NAMES = 3


@dataclass(frozen=True)
class Parameter:
    """A parameter, with its default as Python text; None for none. A star precedes the name of a collecting one."""

    name: str
    default: str | None = None


@dataclass(frozen=True)
class Member:
    """A member of a class; `parameters` is None for what is not a function."""

    name: str
    parameters: tuple[Parameter, ...] | None = None
    value: str | None = None


@dataclass
class Class:
    """A class of the SDK, by its full name."""

    name: str
    members: list[Member] = field(default_factory=list)


@dataclass(frozen=True)
class Finding:
    """The state of a class or member here, and how it differs."""

    name: str
    state: State
    difference: str = ""


def table(text: str) -> list[Class]:
    """Return the classes of the table of facts."""
    classes: list[Class] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            classes.append(Class(line.strip()))
            continue
        kind, _, rest = line.strip().partition(" ")
        if kind == "property":
            classes[-1].members.append(Member(rest))
        elif kind == "value":
            name, _, value = rest.partition(" = ")
            classes[-1].members.append(Member(name, value=value))
        else:
            name, _, arguments = line.strip().removeprefix("static ").partition("(")
            classes[-1].members.append(Member(name, tuple(written(arguments.removesuffix(")")))))
    return classes


def findings(classes: Iterable[Class]) -> Iterator[Finding]:
    """Yield a finding for each class and each of its members; the members of an absent class have none."""
    hook.install()
    for one in classes:
        module, _, name = one.name.rpartition(".")
        value = _attribute(module, name)
        if value is _ABSENT:
            yield Finding(one.name, "not there")
            continue
        yield Finding(one.name, "same")
        for member in one.members:
            yield _compared(f"{one.name}.{member.name}", member, value)


def reasons(text: str) -> dict[str, str]:
    """Return the reason of each difference, by a pattern for the names that it is about."""
    return {pattern: reason for reason, patterns in _pairs(tomllib.loads(text)) for pattern in patterns}


def reason_of(name: str, listed: dict[str, str]) -> tuple[str, str] | None:
    """Return the pattern that fits a name, and its reason; a full name precedes patterns."""
    if name in listed:
        return name, listed[name]
    return next(((pattern, reason) for pattern, reason in listed.items() if fnmatchcase(name, pattern)), None)


def page(found: Iterable[Finding], listed: dict[str, str]) -> str:
    """Return the text of docs/azureml.md."""
    found = list(found)
    counts = {state: sum(one.state == state for one in found) for state in ("same", "different", "not there")}
    summary = (
        f"Of the {len(found)} classes and members of the SDK's public surface {counts['same']} are the same here, "
        f"{counts['different']} differ, and {counts['not there']} are not there. A call that is the same has the "
        "parameters of the SDK with their order and defaults; more optional parameters may follow."
    )
    lines = [
        INTRODUCTION.read_text().rstrip(),
        "",
        summary,
        "",
    ]
    for one in found:
        if _is_class(one.name):
            module, _, name = one.name.rpartition(".")
            lines += [f"### {name}", "", f"`{module}`" + (f": {_told(one, listed)}" if one.state != "same" else "")]
            members = [other for other in found if other.name.startswith(f"{one.name}.")]
            if members:
                lines += ["", "| call | here | |", "|---|---|---|"]
                lines += [
                    f"| `{other.name.removeprefix(one.name + '.')}` | {other.state} | {_told(other, listed)} |"
                    for other in members
                ]
            lines.append("")
    lines += ["## Modules", "", "| module | names |", "|---|---|"]
    lines += [f"| `{name}` | {_names_in(name)} |" for name in sorted({*MODULES, *_FROM_SHIMS})]
    lines += ["", "## Not there", "", "The import fails with these words:", ""]
    lines += [f"- {text}" for text in sorted({_first_line(name) for name in _WITHOUT})]
    return "\n".join(lines) + "\n"


_FROM_SHIMS = {
    "azureml.contrib.services.aml_request": "`AMLRequest`, `rawhttp`",
    "azureml.contrib.services.aml_response": "`AMLResponse`",
    "azureml.monitoring": "`ModelDataCollector`",
}
_WITHOUT = (
    *("azureml.accel", "azureml.automl", "azureml.contrib.interpret", "azureml.contrib.iot"),
    *("azureml.core.private_endpoint", "azureml.datadrift", "azureml.explain", "azureml.interpret"),
    *("azureml.mlflow", "azureml.opendatasets", "azureml.pipeline.core", "azureml.pipeline.steps"),
    *("azureml.tensorboard", "azureml.train.automl.automlconfig", "azureml.train.dnn", "azureml.train.estimator"),
    *("azureml.train.hyperdrive.HyperDriveConfig", "azureml.train.sklearn", "azureml.widgets"),
)


def _first_line(name: str) -> str:
    first, rest = sentence(name).split("\n")
    return f"`{name}`{first.removeprefix(name)} {rest.rpartition(' docs/')[0]}"


def _names_in(module: str) -> str:
    if module in _FROM_SHIMS:
        return _FROM_SHIMS[module]
    names: list[str] = import_module(module).__all__
    later = [old for source in MODULES[module] for old, _ in source.pairs() if old not in names and old[:2] != "__"]
    text = ", ".join(f"`{name}`" for name in sorted(names))
    return text + (f"{'; ' if text else ''}not there: {', '.join(sorted(later))}" if later else "")


def _is_class(name: str) -> bool:
    return name.rpartition(".")[0].islower()  # only modules precede it


def _told(finding: Finding, listed: dict[str, str]) -> str:
    if finding.state == "same":
        return ""
    known = reason_of(finding.name, listed)
    reason = known[1] if known else "?"
    return f"{finding.difference}: {reason}" if finding.difference else reason


def _compared(name: str, member: Member, owner: Any) -> Finding:
    if member.value is not None:
        value: Any = owner
        for part in member.name.split("."):
            value = getattr(value, part, _ABSENT)
        if value is _ABSENT:
            return Finding(name, "not there")
        same = value == ast.literal_eval(member.value)
        return Finding(name, "same") if same else Finding(name, "different", f"its value is {value!r}")
    found = inspect.getattr_static(owner, member.name, _ABSENT)
    if found is _ABSENT and member.name in _attributes(owner):
        found = None
    if found is _ABSENT:
        return Finding(name, "not there")
    if member.parameters is None:
        return Finding(name, "same")
    function = getattr(owner, member.name)
    text = difference(member.parameters, tuple(_of(function)))
    return Finding(name, "different", text) if text else Finding(name, "same")


def _attributes(owner: type) -> set[str]:
    """Return the attributes that a class annotates, which its instances have."""
    return {name for base in owner.__mro__ for name in getattr(base, "__annotations__", {})}


def difference(theirs: tuple[Parameter, ...], ours: tuple[Parameter, ...]) -> str:
    """Return in words how our parameters differ; empty if old calls work, also with more optional parameters."""
    plain, collecting = _split(ours)
    wanted, wanted_collecting = _split(theirs)
    if not plain and len(collecting) == 2:
        return ""  # it takes whatever it is given: an abstract method
    names = [one.name for one in plain]
    missing = [one.name for one in wanted if one.name not in names]
    missing += [kind for kind in wanted_collecting if kind not in collecting]
    if missing:
        takes = "takes by name only" if "**" in collecting else "lacks"
        rest = f" and {len(missing) - _MOST_NAMES} more" if len(missing) > _MOST_NAMES else ""
        return f"{takes} {', '.join(f'`{name}`' for name in missing[:_MOST_NAMES])}{rest}"
    if names[: len(wanted)] != [one.name for one in wanted]:
        return "another order of parameters"
    for one, own in zip(wanted, plain, strict=False):
        if not _same_default(one.default, own.default):
            return f"`{one.name}` is {own.default or 'needed'}"
    needed = [one.name for one in plain[len(wanted) :] if one.default is None]
    return f"needs `{needed[0]}`" if needed else ""


def _split(parameters: tuple[Parameter, ...]) -> tuple[list[Parameter], list[str]]:
    """Return the parameters without the collecting ones, and the stars of those."""
    stars = [one.name[: one.name.count("*")] for one in parameters if one.name.startswith("*")]
    return [one for one in parameters if not one.name.startswith("*")], stars


def _same_default(theirs: str | None, ours: str | None) -> bool:
    if theirs == ours or (theirs is None and ours is not None):
        return True  # a parameter that may be left out here is no difference for old code
    try:
        return ours is not None and theirs is not None and ast.literal_eval(theirs) == ast.literal_eval(ours)
    except (ValueError, SyntaxError):
        return ours is not None  # the name of a constant


def written(text: str) -> Iterator[Parameter]:
    arguments = ast.parse(f"def f({text}): pass").body[0].args  # type: ignore[attr-defined]
    plain = [*arguments.posonlyargs, *arguments.args]
    without = len(plain) - len(arguments.defaults)
    for number, one in enumerate(plain):
        default = arguments.defaults[number - without] if number >= without else None
        yield Parameter(one.arg, ast.unparse(default) if default is not None else None)
    if arguments.vararg:
        yield Parameter(f"*{arguments.vararg.arg}")
    if arguments.kwarg:
        yield Parameter(f"**{arguments.kwarg.arg}")


def _of(function: Any) -> Iterator[Parameter]:
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    for number, one in enumerate(inspect.signature(function).parameters.values()):
        if number == 0 and one.name == "self":
            continue
        default = None if one.default is inspect.Parameter.empty else repr(one.default)
        yield Parameter(stars.get(one.kind, "") + one.name, default)


def _attribute(module: str, name: str) -> Any:
    try:
        return getattr(import_module(module), name, _ABSENT)
    except ImportError:
        return _ABSENT


def _pairs(document: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for entry in document["difference"]:
        yield entry["reason"], entry["names"]


def answer() -> str:
    """Return the findings and the page as JSON."""
    found = list(findings(table(TABLE.read_text())))
    return json.dumps([[asdict(one) for one in found], page(found, reasons(REASONS.read_text()))])


def main(arguments: list[str]) -> None:
    """Write the page, or print the differences that have no reason."""
    found = list(findings(table(TABLE.read_text())))
    listed = reasons(REASONS.read_text()) if REASONS.exists() else {}
    if arguments == ["--differences"]:
        used = [reason_of(one.name, listed) for one in found if one.state != "same"]
        for one in found:
            if one.state != "same" and reason_of(one.name, listed) is None:
                print(f"without a reason: {one.name}: {one.difference or one.state}")
        for pattern in sorted(set(listed) - {pair[0] for pair in used if pair is not None}):
            print(f"no difference any more: {pattern}")
        return
    PAGE.write_text(page(found, listed))


if __name__ == "__main__":
    main(sys.argv[1:])
