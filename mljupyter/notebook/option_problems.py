"""Option problems: the options of a deployment that break a rule, each by its name, before anything is planned.

A form reports each problem under its field. `deployment_of` raises the first one of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from mljupyter.core import webservice
from mljupyter.core.estimator import EstimatorError, check_estimator, scoring_script
from mljupyter.core.webservice import AksEndpoint
from mljupyter.deploy.content import VersionContent
from mljupyter.deploy.spec_builder import new_endpoint
from mljupyter.errors import MLJupyterError
from mljupyter.notebook.options.command_line import values_of
from mljupyter.notebook.options.deployment_options import DEPLOYMENT_OPTIONS
from mljupyter.notebook.options.option_values import WrongInputError, source_directory
from mljupyter.notebook.plan import CLASSES, settings_of
from mljupyter.notebook.sources.expressions import value_of
from mljupyter.spec import CodeReference

_ANY_NAME = "endpoint"
_ANY_VERSION = "version"
_ANY_CONTENT = VersionContent(CodeReference(digest=f"sha256:{'0' * 64}", entry_script="score.py"))
_ARGUMENT = re.compile(r"[a-z_]+ is ")


def setting_problems(values: Mapping[str, Any], keys: Iterable[str]) -> dict[str, str]:
    """Return the settings of a web service that break a rule, by option.

    Parameters:
        values: by option of `DEPLOYMENT_OPTIONS`; a missing one has its default.
        keys: the options to check. Each is checked alone, with the kind of web service.

    Example:
        >>> setting_problems({"kind": "aks", "cpu": 0.0, "memory": 1.0}, ("cpu", "memory"))
        {'cpu': '0.0: it must be a number above 0.'}

    """
    defaults = values_of(DEPLOYMENT_OPTIONS, {})[0]
    kind = values.get("kind") or defaults["kind"]
    found = {}
    for key in keys:
        if values.get(key) in (None, []):
            continue
        version = values.get("version") or _ANY_VERSION if key == "traffic" else None
        problem = _broken_rule({**defaults, "kind": kind, "version": version, key: values[key]})
        if problem:
            found[key] = _ARGUMENT.sub("", problem, count=1) if _ARGUMENT.match(problem) else problem
    return found


def _broken_rule(values: Mapping[str, Any]) -> str:
    """Return the rule that the settings of a new web service break; empty if they break none."""
    try:
        settings = settings_of(values)
        if values["version"] is None:
            configuration = getattr(webservice, CLASSES[values["kind"]]).deploy_configuration(**settings)
        else:
            share = {} if values["traffic"] is None else {"traffic_percentile": values["traffic"]}
            configuration = AksEndpoint.deploy_configuration(version_name=values["version"], **settings, **share)
        new_endpoint(_ANY_NAME, configuration, _ANY_CONTENT)
    except MLJupyterError as error:
        return error.message
    return ""


def estimator_problems(values: Mapping[str, Any], namespace: Mapping[str, Any]) -> dict[str, str]:
    """Return what keeps an estimator from being deployed, by option: ``estimator``, ``method`` or ``sample``.

    Parameters:
        values: by option of `DEPLOYMENT_OPTIONS`; an option may be missing.
        namespace: the variables of the user, whose expressions are evaluated.

    """
    expression, text = values.get("estimator"), values.get("sample")
    if not expression:
        return {}
    found: dict[str, str] = {}
    sample = None
    if text:
        try:
            sample = value_of(text, namespace)
        except WrongInputError as error:
            found["sample"] = error.message
    method = values.get("method") or "predict"
    try:
        estimator = value_of(expression, namespace)
        source = source_directory(values.get("source_directory"))
        lacks = bool(values.get("method")) and not hasattr(estimator, method)
    except MLJupyterError as error:
        return found | {"estimator": error.message}
    try:
        check_estimator(estimator, expression, method=method, source_directory=source)
    except EstimatorError as error:
        return found | {"method" if lacks else "estimator": error.message}
    if not values.get("score") and "sample" not in found:  # a script is generated, and the sample is tried
        try:
            scoring_script(estimator, sample, method, expression)
        except EstimatorError as error:
            found["sample"] = error.message
    return found
