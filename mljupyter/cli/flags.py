"""The flags of Azure ML's command line v1, in one table, and the commands that take them.

Each flag has the name of the SDK's argument that it gives. A command takes groups of flags; `OldCommand` accepts the
older spelling with a single dash (``-ct`` for ``--ct``) and a value after a switch (``--ae true``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import click

from mljupyter.cli.options import json_option, place_parameters, workspace_option

Command = TypeVar("Command", bound=Callable[..., Any])
Flag = Callable[[Any], Any]
_SINGLE_DASH = re.compile(r"-([a-z]{2,3})(=.*)?", re.DOTALL)
_PAIR = "KEY=VALUE"

SWITCH: dict[str, Any] = {"is_flag": False, "flag_value": "true", "type": click.BOOL, "metavar": "[true|false]"}
"""The options of a switch: alone it is true, and it may have a value."""


class OldCommand(click.Command):
    """A command that accepts what every command of Azure ML's command line did.

    That is a single dash before names of two and three letters, and the options of `place_parameters`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        taken = {param.name for param in self.params}
        self.params += [option for option in place_parameters() if option.name not in taken]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments after a second dash is put before names that this command has only with two."""
        return super().parse_args(ctx, with_two_dashes(args, self.params))


_NAME, _IMAGE = ("-n", "--name"), ("-i", "--image-id")
_ALSO_AS = {"name": _NAME, "names": _NAME, "image_id": _IMAGE, "image_ids": _IMAGE}
"""Arguments that old command lines give as options."""


class NamedCommand(OldCommand):
    """A command with a positional NAME that may also be given as ``-n NAME`` or ``--name NAME``; and for images so."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments after the name is put where the command expects it."""
        known = {name for param in self.params for name in param.opts}
        args = list(args)
        for argument, spellings in _ALSO_AS.items():
            for spelling in set(spellings) - known if argument in known else ():
                while spelling in args[:-1]:
                    place = args.index(spelling)
                    args = [args[place + 1], *args[:place], *args[place + 2 :]]
        return super().parse_args(ctx, args)


class PairedGroup(click.Group):
    """A group that also has commands of two words, such as ``create aks``, where a name is given as an option."""

    command_class = NamedCommand

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command for the first two words, or else for the first."""
        words = " ".join(args[:2])
        if words in self.commands and any(word in ("-n", "--name", "-h", "--help") for word in args[2:]):
            return words, self.commands[words], args[2:]
        return super().resolve_command(ctx, args)


def with_two_dashes(args: Sequence[str], params: Iterable[click.Parameter]) -> list[str]:
    """Return arguments with ``-ct`` written as ``--ct`` where an option has that name.

    Parameters:
        args: the arguments of a command.
        params: its parameters.

    """
    options = [param for param in params if isinstance(param, click.Option)]
    known = {name for option in options for name in (*option.opts, *option.secondary_opts)}
    result, words = [], iter(args)
    for word in words:
        if word == "-v" and word not in known:
            word = "--verbose"
        match = _SINGLE_DASH.fullmatch(word)
        renamed = match is not None and f"--{match[1]}" in known and f"-{match[1]}" not in known
        result.append(f"-{word}" if renamed else word)
        if word == "--":
            break
    return [*result, *words]


def pairs_of(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str] | None:
    """Return ``KEY=VALUE`` texts as a dict; None if there is none. A key without value has the value ''."""
    found: dict[str, str] = {}
    for value in values:
        key, _, rest = value.partition("=")
        if not key:
            raise click.BadParameter(f"{value!r}: it must be KEY=VALUE.", ctx=ctx, param=param)
        found[key] = rest
    return found or None


def flag(*spellings: str, **settings: Any) -> Flag:
    """Return an option whose value has the name of its last spelling: ``--ct``, ``--compute-target``: `compute_target`.

    Parameters:
        spellings: the spellings; a last one without dashes is the name itself.
        settings: those of `click.option`.

    """
    name = spellings[-1].lstrip("-").replace("-", "_")
    return click.option(*(one for one in spellings if one.startswith("-")), name, **settings)


def _switch(*spellings: str, help: str) -> Flag:  # noqa: A002 - the name of click
    return flag(*spellings, help=help, **SWITCH)


def _number(*spellings: str, help: str, whole: bool = True) -> Flag:  # noqa: A002
    return flag(*spellings, help=help, type=int if whole else float, metavar="NUMBER")


def _text(*spellings: str, help: str, metavar: str = "TEXT") -> Flag:  # noqa: A002
    return flag(*spellings, help=help, metavar=metavar)


def _pairs(*spellings: str, help: str) -> Flag:  # noqa: A002
    return flag(*spellings, help=help, metavar=_PAIR, multiple=True, callback=pairs_of)


NAME = flag("-n", "--name", "name", metavar="NAME", required=True, help="Name.")
DESCRIPTION = _text("-d", "--description", help="Description.")
TAGS = (
    _pairs("--tag", "tags", help="Tag. Repeatable."),
    _pairs("--property", "properties", help="Property, which cannot be changed later. Repeatable."),
)
CHANGED_TAGS = (
    _pairs("--add-tag", "add_tags", help="Add or change a tag. Repeatable."),
    flag("--remove-tag", "remove_tags", metavar="KEY", multiple=True, help="Remove a tag. Repeatable."),
)
ADDED_PROPERTIES = (_pairs("--add-property", "add_properties", help="Add a property. Repeatable."),)
FILTERS = (
    flag("--tag", "tags", metavar="KEY[=VALUE]", multiple=True, help="Only with this tag. Repeatable."),
    flag("--property", "properties", metavar="KEY[=VALUE]", multiple=True, help="Only with this one. Repeatable."),
)
NO_WAIT = (flag("--no-wait", is_flag=True, help="Return at once, while it starts."),)
MODELS = (
    flag("-m", "--model", "models", metavar="ID", multiple=True, help="Model, NAME:VERSION or NAME. Repeatable."),
    flag(
        "-f",
        "--model-metadata-file",
        "model_files",
        metavar="FILE",
        multiple=True,
        help="File that `model register -t` has written. Repeatable.",
    ),
)
INFERENCE = (
    _text("--ic", "--inference-config-file", "inference_file", metavar="FILE", help="inferenceconfig.json."),
    _text("--es", "--entry-script", metavar="FILE", help="Scoring script."),
    _text("--sd", "--source-directory", metavar="DIR", help="Directory with the script and its files."),
    _text("-e", "--environment-name", metavar="NAME", help="Registered environment."),
    _text("--ev", "--environment-version", metavar="VERSION", help="Its version. Default: the newest."),
    _text("--ed", "--environment-directory", metavar="DIR", help="Directory of an environment."),
    _text("--rt", "--runtime", metavar="NAME", help="python."),
    _text("--cf", "--conda-file", metavar="FILE", help="Conda environment file."),
    _text("--ds", "--extra-docker-file-steps", metavar="FILE", help="Further steps of a Dockerfile."),
    _switch("--eg", "--enable-gpu", help="Base image for GPUs."),
    _text("--cv", "--cuda-version", metavar="VERSION", help="9.0, 9.1 or 10.0."),
    _text("--bi", "--base-image", metavar="IMAGE", help="Base image."),
    _text("--ir", "--base-image-registry", metavar="HOST", help="Registry of the base image."),
)
SIZE = (
    _number("--cc", "--cpu-cores", whole=False, help="CPU cores of a replica."),
    _number("--gb", "--memory-gb", whole=False, help="Memory of a replica in GB."),
)
LIMITS = (
    _number("--ccl", "--cpu-cores-limit", whole=False, help="The most CPU cores that it may use."),
    _number("--gbl", "--memory-gb-limit", whole=False, help="The most memory that it may use."),
    _number("--gc", "--gpu-cores", help="GPUs of a replica."),
)
AUTHENTICATION = (
    _switch("--ae", "--auth-enabled", help="Requests need a key."),
    _switch("--token-auth-enabled", help="Requests need a token."),
)
OWN_KEYS = (
    _text("--kp", "--primary-key", metavar="KEY", help="Key of your own."),
    _text("--ks", "--secondary-key", metavar="KEY", help="Key of your own."),
)
SCALING = (
    _switch("--as", "--autoscale-enabled", help="Autoscaling."),
    _number("--mi", "--autoscale-min-replicas", help="Minimum of replicas."),
    _number("--ma", "--autoscale-max-replicas", help="Maximum of replicas."),
    _number("--ar", "--autoscale-refresh-seconds", help="Seconds between decisions."),
    _number("--at", "--autoscale-target-utilization", help="Percentage of busy replicas to aim at."),
    _number("--nr", "--num-replicas", help="A fixed number of replicas."),
)
REQUESTS = (
    _number("--tm", "--scoring-timeout-ms", help="Longest time of a request."),
    _number("--rm", "--replica-max-concurrent-requests", help="Requests that a replica runs concurrently."),
    _number("--mr", "--max-request-wait-time", help="Milliseconds that a request may wait for a replica."),
)
PROBE = (
    _number("--ps", "--period-seconds", help="Liveness probe: period."),
    _number("--id", "--initial-delay-seconds", help="Liveness probe: initial delay."),
    _number("--ts", "--timeout-seconds", help="Liveness probe: timeout."),
    _number("--st", "--success-threshold", help="Liveness probe: successes."),
    _number("--ft", "--failure-threshold", help="Liveness probe: failures."),
)
INSIGHTS = (_switch("--ai", "--enable-app-insights", help="Record requests and the script's log."),)
COLLECTION = (_switch("--md", "--collect-model-data", help="Let the script collect data."),)
TLS = (
    _switch("--se", "--ssl-enabled", help="ACI: TLS with a certificate of your own."),
    _text("--sc", "--ssl-cname", metavar="HOST", help="Its host name."),
    _text("--sp", "--ssl-cert-pem-file", metavar="FILE", help="Its chain, PEM."),
    _text("--sk", "--ssl-key-pem-file", metavar="FILE", help="Its key, PEM."),
)
CLOUD_ONLY = (
    _text("--lo", "--location", metavar="REGION", help="ACI, without effect."),
    _text("--dn", "--dns-name-label", metavar="LABEL", help="ACI, without effect."),
    _text("--vault-base-url", "cmk_vault_base_url", metavar="URL", help="ACI, without effect."),
    _text("--key-name", "cmk_key_name", metavar="NAME", help="ACI, without effect."),
    _text("--key-version", "cmk_key_version", metavar="VERSION", help="ACI, without effect."),
    _text("--vnet-name", metavar="NAME", help="ACI, without effect."),
    _text("--subnet-name", metavar="NAME", help="ACI, without effect."),
)
PLACE = (_text("--namespace", metavar="NAME", help="AKS: namespace of the replicas."),)
VERSION = (
    _text("--vn", "--version-name", metavar="NAME", help="Endpoint: name of the version."),
    _number("--tp", "--traffic-percentile", help="Endpoint: share of the version in percent."),
)
PORT = (_number("--po", "--port", help="Local web service: its port."),)
SETTINGS_OF_A_VERSION = (*SIZE, *LIMITS, *SCALING, *REQUESTS, *PROBE, *COLLECTION)


def v1_options(*options: Flag) -> Callable[[Command], Command]:
    """Return a decorator that adds flags, and those that every command of Azure ML's command line has.

    Parameters:
        options: the flags.

    """

    def decorate(command: Command) -> Command:
        for option in reversed((*options, workspace_option, json_option)):
            command = option(command)
        return command

    return decorate


def given(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return the values that were given: not None, and not an empty tuple of a repeatable flag.

    Parameters:
        values: the values by the names of arguments.
        names: only these; all if there is none.

    """
    return {name: value for name, value in values.items() if value not in (None, ()) and (not names or name in names)}


def filters_of(values: Sequence[str]) -> list[str | list[str]] | None:
    """Return ``KEY`` and ``KEY=VALUE`` texts as the filters of the SDK's lists."""
    return [value.split("=", 1) if "=" in value else value for value in values] or None
