"""The hints in errors of the SDK, as commands: a message names what a user of the command line can type.

The SDK says ``pass overwrite=True``; here it is ``--overwrite``. One table has all forms; the first that fits counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from mljupyter.core.configuration_files import DEPLOYMENT_KEYS, INFERENCE_KEYS

_CALL = r"\((?:[^()]|\([^()]*\))*\)"
"""The arguments of a call, with one level of further parentheses."""

_FORMS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (
        rf"Workspace\.create\('NAME'\)\.write_config\(\), or use Workspace\.get{_CALL}",
        "mljupyter folder attach -w NAME",
    ),
    (
        r"Workspace\.create\(\.\.\., container_registry='HOST:PORT'\)",
        "mljupyter workspace create NAME --container-registry HOST:PORT",
    ),
    (rf"Workspace\.create{_CALL}", "mljupyter workspace create NAME"),
    (rf"Workspace\.get{_CALL}", "mljupyter workspace show NAME"),
    (r"Model\.register\(\.\.\., model_framework=[^()]*\)", "mljupyter model register --model-framework ScikitLearn"),
    (rf"Model\.register(?:{_CALL})?", "mljupyter model register -n NAME -p PATH"),
    (r"Model\.package\(\.\.\., generate_dockerfile=True\)", "mljupyter model package --output-path DIR"),
    (rf"(?:service|endpoint)\.get_keys{_CALL}", "mljupyter service get-keys -n NAME"),
    (rf"(?:service|endpoint)\.get_access_token{_CALL}", "mljupyter service get-access-token -n NAME"),
    (rf"(?:service|endpoint)\.get_logs{_CALL}", "mljupyter service get-logs -n NAME"),
    (rf"(?:service|endpoint)\.wait_for_deployment{_CALL}", "mljupyter service show -n NAME"),
    (r"InferenceConfig\('score\.py'\)", "--entry-script score.py"),
    (rf"service\.run{_CALL}", """mljupyter service run -n NAME -d '{"data": [[1, 2, 3]]}'"""),
    (
        r"(?:endpoint\.)?update_version\('?(\w[\w-]*)'?, (\w+)=True\)",
        lambda match: f"mljupyter endpoint realtime update-version -n NAME --vn {match[1]} {_option(match[2])}",
    ),
    (r"\bupdate\((\w+)=True\)", lambda match: f"mljupyter service update -n NAME {_option(match[1])}"),
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


def as_commands(message: str) -> str:
    """Return the message of an error with commands and options in place of calls and arguments of the SDK.

    Parameters:
        message: the text of the error.

    Example:
        >>> as_commands("cpu_cores is -1: it must be above 0. Pass overwrite=True to replace it.")
        '--cpu-cores is -1: it must be above 0. Give --overwrite to replace it.'

    """
    for pattern, becomes in _PATTERNS:
        message = pattern.sub(becomes, message)
    return _NAMES.sub(lambda match: _option(match[1]), message)


def _option(argument: str) -> str:
    return _OPTIONS.get(argument, f"--{argument.replace('_', '-')}")
