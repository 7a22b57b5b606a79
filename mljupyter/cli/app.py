"""The command line: its groups of commands, each imported when it is used."""

from __future__ import annotations

from importlib import import_module

import click

from mljupyter import __version__

_COMMANDS = {
    "attach": ("computetarget:attach", "Attach a Kubernetes cluster under a name."),
    "az": ("az:az", "Run old command lines of Azure: az ml model list."),
    "azureml": (
        "azureml:azureml",
        "Let old notebooks import azureml.core.",
    ),
    "completion": ("completion:completion", "Complete commands with Tab: bash, zsh, fish."),
    "computetarget": (
        "computetarget:computetarget",
        "Attach, check, list and detach Kubernetes clusters.",
    ),
    "controller": (
        "controller:controller",
        "Manage the controller, the process that runs the endpoints.",
    ),
    "demo": ("demo:demo", "Train, deploy, score and clean up in a temporary workspace."),
    "deploy": ("deploy:deploy", "Deploy models as an endpoint, or change it."),
    "doctor": ("doctor:doctor", "Check the installation, the workspace and its processes."),
    "endpoint": ("endpoint:endpoint", "List, show, change, call and delete endpoints."),
    "environment": ("environment:environment", "Write, register, list and show environments."),
    "folder": ("folder:folder", "Choose the workspace of a directory."),
    "gc": ("gc:gc", "Remove unused content, environments, images and revisions."),
    "image": ("image:image", "List, show, scan and delete images."),
    "model": ("model:model", "Register, deploy, package and manage models."),
    "monitor": ("monitor:monitor", "Watch requests, latencies and replicas live."),
    "rollout": ("release:rollout", "Shift traffic to a version step by step."),
    "router": ("router:router", "Show and change the router: address, TLS, limits."),
    "run": ("run:run", "Submit scripts; list, show and cancel runs."),
    "score": ("score:score", "Check and try a scoring script; store it."),
    "service": ("service:service", "Web services: list, call, change, keys, logs."),
    "traffic": ("endpoint:traffic", "Show or set the traffic shares of versions."),
    "workspace": ("workspace:workspace", "Create, share, back up and move workspaces."),
}


class _LazyGroup(click.Group):
    """A group that imports a command when it is named: neither help nor other commands wait for its imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"mljupyter.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in sorted(_COMMANDS.items())])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="mljupyter")
def app() -> None:
    """Deploy machine learning models and manage them: endpoints, images, compute targets, workspaces."""
