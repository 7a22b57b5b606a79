"""A renderer for the part of Helm's templates that our chart uses, where Helm itself cannot be had."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_CONTROL = re.compile(r"\{\{- (if|else|end) ?(.*?) ?\}\}")
_RANGE = re.compile(r"\{\{- range (\.\S+) \}\}\n(.*?)\{\{- end \}\}\n", re.DOTALL)
_JOIN = re.compile(r'join "(.*?)" (\.\S+)')
_TYPE = re.compile(r'ternary "(.*?)" (\.\S+) \(has (\.\S+) \(list (.*?)\)\)')
_EXPRESSION = re.compile(r"\{\{ (.*?) \}\}")
_EQUAL = re.compile(r'eq (\.\S+) "(.*)"')
_DEFAULT = re.compile(r"\((\.\S+) \| default (dict|list)\)")
_TERNARY = re.compile(r'ternary "(.*?)" "(.*?)" \(\.Capabilities\.APIVersions\.Has "(.*?)"\)')


class TemplateError(Exception):
    """A template uses something that this renderer does not know."""


def render(
    chart: Path, *, namespace: str, values: Mapping[str, Any] | None = None, api_versions: frozenset[str] = frozenset()
) -> list[dict[str, Any]]:
    """Return the objects that ``helm install`` creates, those of ``crds/`` first.

    Parameters:
        chart: the directory of the chart.
        namespace: the namespace of the release.
        values: values by dotted names that replace those of the chart.
        api_versions: the API versions of the cluster.

    """
    scope: dict[str, Any] = {"Release": {"Namespace": namespace}, "Values": _load(chart / "values.yaml")[0]}
    for name, value in (values or {}).items():
        *parents, last = name.split(".")
        place = scope["Values"]
        for parent in parents:
            place = place[parent]
        place[last] = value
    found = [item for path in sorted((chart / "crds").iterdir()) for item in _load(path)]
    for path in sorted((chart / "templates").glob("*.yaml")):
        text = _rendered(path.read_text(encoding="utf-8"), scope, api_versions)
        found += [item for item in yaml.safe_load_all(text) if item is not None]
    return found


def _load(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def _rendered(text: str, scope: Mapping[str, Any], api_versions: frozenset[str]) -> str:
    lines, shown = [], [True]
    text = _RANGE.sub(lambda match: _repeated(match[2], _at(match[1], scope)), text)
    for line in text.splitlines(keepends=True):
        control = _CONTROL.fullmatch(line.strip())
        if control is None:
            if all(shown):
                lines.append(_EXPRESSION.sub(lambda match: _value(match[1], scope, api_versions), line))
        elif control[1] == "if":
            shown.append(_holds(control[2], scope))
        elif control[1] == "else":
            shown[-1] = not shown[-1]
        else:
            shown.pop()
    if shown != [True]:
        raise TemplateError("an {{- if }} has no {{- end }}")
    return "".join(lines)


def _repeated(body: str, items: list[str]) -> str:
    """Return the body of a loop without conditions, for each item."""
    return "".join(body.replace("{{ $.", "{{ .").replace("{{ . }}", item) for item in items)


def _holds(condition: str, scope: Mapping[str, Any]) -> bool:
    if condition.startswith("not ("):
        return not _holds(condition.removeprefix("not (").removesuffix(")"), scope)
    equal = _EQUAL.fullmatch(condition)
    return bool(_at(equal[1], scope) == equal[2]) if equal else bool(_at(condition, scope))


def _value(expression: str, scope: Mapping[str, Any], api_versions: frozenset[str]) -> str:
    ternary = _TERNARY.fullmatch(expression)
    if ternary:
        return ternary[1] if ternary[3] in api_versions else ternary[2]
    if join := _JOIN.fullmatch(expression):
        return join[1].join(_at(join[2], scope))
    listed = _TYPE.fullmatch(expression)
    if listed:
        value = str(_at(listed[2], scope))
        return listed[1] if str(_at(listed[3], scope)) in re.findall(r'"(.*?)"', listed[4]) else value
    if expression.startswith("toJson "):
        return json.dumps(_json(expression.removeprefix("toJson "), scope), separators=(",", ":"))
    return str(_at(expression, scope))


def _json(expression: str, scope: Mapping[str, Any]) -> Any:
    defaulted = _DEFAULT.fullmatch(expression)
    if defaulted is None:
        return _at(expression, scope)
    return _at(defaulted[1], scope) or {"dict": {}, "list": []}[defaulted[2]]


def _at(path: str, scope: Mapping[str, Any]) -> Any:
    if not re.fullmatch(r"(\.\w+)+", path):
        raise TemplateError(f"the expression {path!r} is not known here")
    found: Any = scope
    *parents, last = path.split(".")[1:]
    for step in parents:
        found = found[step]
    return found.get(last)  # as in Helm, a value that is not there is nil
