"""The hints in errors of the SDK, as commands: a message names what a user of the command line can type.

The SDK says ``pass overwrite=True``; here it is ``--overwrite``. One table has all forms; the first that fits counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from mljupyter.core.configuration_files import DEPLOYMENT_KEYS, INFERENCE_KEYS

_CALL = r"\((?:[^()]|\([^()]*\))*\)"
"""The arguments of a call, with one level of further parentheses."""
_ENDPOINT = "<endpoint>"
"""The place of the endpoint's name in a command."""

_FORMS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    # One way out for each kind of user, the command line's last: that one is enough here.
    (rf"(?:service|endpoint)\.\w+{_CALL}, %\w+ [^,\n]*, (?:or )?(mljupyter )", r"\1"),
    (
        rf"Workspace\.create\('NAME'\)\.write_config\(\), or use Workspace\.get{_CALL}",
        "mljupyter folder attach -w NAME",
    ),
    (
        r"Workspace\.create\(\.\.\., container_registry='HOST:PORT'\)",
        "mljupyter workspace create NAME --container-registry HOST:PORT",
    ),
    (rf"Workspace\.create{_CALL}", lambda match: f"mljupyter workspace create {_quoted(match)}"),
    (rf"Workspace\.get{_CALL}", lambda match: f"mljupyter workspace show {_quoted(match)}"),
    (r"Model\.register\(\.\.\., model_framework=[^()]*\)", "mljupyter model register --model-framework ScikitLearn"),
    (rf"Model\.register(?:{_CALL})?", lambda match: f"mljupyter model register -n {_quoted(match)} -p PATH"),
    (r"Model\.package\(\.\.\., generate_dockerfile=True\)", "mljupyter model package --output-path DIR"),
    (rf"(?:service|endpoint)\.get_keys{_CALL}", f"mljupyter service get-keys -n {_ENDPOINT}"),
    (rf"(?:service|endpoint)\.get_access_token{_CALL}", f"mljupyter service get-access-token -n {_ENDPOINT}"),
    (rf"(?:service|endpoint)\.get_logs{_CALL}", f"mljupyter service get-logs -n {_ENDPOINT}"),
    (rf"(?:service|endpoint)\.wait_for_deployment{_CALL}", f"mljupyter service show -n {_ENDPOINT}"),
    (r"endpoint\.wait_for_rollout\(\)", f"mljupyter endpoint rollout {_ENDPOINT} --wait"),
    (r"endpoint\.abort_rollout\(\)", f"mljupyter endpoint rollout {_ENDPOINT} --abort"),
    (
        r"endpoint\.delete_version\('?([\w-]+)'?\)",
        rf"mljupyter endpoint realtime delete-version -n {_ENDPOINT} --vn \1",
    ),
    (r"(?:service|endpoint)\.delete\(\)", f"mljupyter endpoint delete {_ENDPOINT}"),
    (
        rf"(?:service|endpoint)\.update({_CALL})",
        lambda match: f"mljupyter service update -n {_ENDPOINT} {_options(match[1])}".rstrip(),
    ),
    (r"InferenceConfig\('score\.py'\)", "--entry-script score.py"),
    (rf"(?:service|endpoint)\.run{_CALL}", f"""mljupyter service run -n {_ENDPOINT} -d '{{"data": [[1, 2, 3]]}}'"""),
    (
        r"(?:endpoint\.)?update_version\('?(\w[\w-]*)'?, (\w+)=True\)",
        lambda match: f"mljupyter endpoint realtime update-version -n {_ENDPOINT} --vn {match[1]} {_option(match[2])}",
    ),
    (r"\bupdate\((\w+)=True\)", lambda match: f"mljupyter service update -n {_ENDPOINT} {_option(match[1])}"),
    (r"ws\.compute_targets\[('[^']*')\]", r"\1"),
    (r"ComputeTarget\(ws, ('[^']*')\)", r"\1"),
    (r"cluster_purpose=AksCompute\.ClusterPurpose\.DEV_TEST", "--cluster-purpose DevTest"),
    (r"\w+=\.\.\. \((--[a-z-]+)\)", r"\1"),
    (r"\b([Pp])ass (\w+)=True", lambda match: f"{'G' if match[1] == 'P' else 'g'}ive {_option(match[2])}"),
    (r"\b(\w+)=True\b", lambda match: _option(match[1])),
    (r"\b(\w+)=False\b", lambda match: f"{_option(match[1])} false"),
    (r"\b(agent_count|vm_size)=(\w+)", lambda match: f"{_option(match[1])} {match[2]}"),
    (r"in a cell that starts with %%score (\S+)", r"with: mljupyter score \1 SCRIPT.py"),
    (r"on line (\d+) of the cell", r"on line \1 of the script"),
    (r"%endpoints\b", "mljupyter endpoint list"),
    (r"%logs\b", "mljupyter endpoint logs"),
    (r"%undeploy\b", "mljupyter endpoint delete"),
    (r"%(deploy|traffic|rollout|monitor|attach)\b", r"mljupyter \1"),
    (r"%%?score\b", "mljupyter score"),
    (r"%mlj (history|scale|promote|rollback)\b", r"mljupyter endpoint \1"),
    (r"%pip\b", "pip"),
)
_ARGUMENTS = sorted(
    {name for keys in (*DEPLOYMENT_KEYS.values(), INFERENCE_KEYS) for name in keys.values() if "_" in name}
    | {"inference_config", "deployment_config", "deployment_target"},
    key=len,
    reverse=True,
)
_OPTIONS = {
    "exist_ok": "--overwrite",
    "delete_dependent_resources": "--all-resources",
    "inference_config": "--inference-config-file",
    "deployment_config": "--deploy-config-file",
    "deployment_target": "--compute-target",
    "cmk_vault_base_url": "--vault-base-url",
    "cmk_key_name": "--key-name",
    "cmk_key_version": "--key-version",
}
_NAMES = re.compile(rf"(?<![\w.-])({'|'.join(_ARGUMENTS)})\b(?![=(])")
_PATTERNS = [(re.compile(pattern), becomes) for pattern, becomes in _FORMS]


def as_commands(message: str, endpoint: str = "") -> str:
    """Return the message of an error with commands and options in place of calls and arguments of the SDK.

    Parameters:
        message: the text of the error.
        endpoint: the name of the endpoint that the command is about; empty if it is not known.

    Example:
        >>> as_commands("cpu_cores is -1: it must be above 0. Pass overwrite=True to replace it.")
        '--cpu-cores is -1: it must be above 0. Give --overwrite to replace it.'

    """
    for pattern, becomes in _PATTERNS:
        message = pattern.sub(becomes, message)
    message = message.replace(_ENDPOINT, endpoint or "NAME")
    return _NAMES.sub(lambda match: _option(match[1]), message)


def _quoted(call: re.Match[str]) -> str:
    """Return the first text among the arguments of a call, such as the name of a workspace; ``NAME`` without one."""
    found = re.search(r"[(,]\s*(?:\w*name=)?'([^']+)'", call[0])
    return found[1] if found else "NAME"


def _options(arguments: str) -> str:
    """Return the arguments of a call as options: ``(a_b=True, c=False)`` is ``--a-b --c false``."""
    found = re.findall(r"(\w+)=(\w+)", arguments)
    return " ".join(_option(name) if value == "True" else f"{_option(name)} {value.lower()}" for name, value in found)


def _option(argument: str) -> str:
    return _OPTIONS.get(argument, f"--{argument.replace('_', '-')}")
