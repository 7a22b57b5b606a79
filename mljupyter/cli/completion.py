"""``mljupyter completion``: completion of commands and options in bash, zsh and fish."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from mljupyter.cli.output import say
from mljupyter.errors import MLJupyterError
from mljupyter.files import in_home, write_whole

_PROGRAM = "mljupyter"
_VARIABLE = "_MLJUPYTER_COMPLETE"
_READABLE = 0o644
_SHELLS = ("bash", "zsh", "fish")
_shell_option = click.option(
    "--shell", type=click.Choice(_SHELLS), help="The shell. Default: that of $SHELL.", default=None
)


class CompletionError(MLJupyterError):
    """The completion cannot be installed."""


@click.group()
def completion() -> None:
    """Completion of commands and options with the Tab key, in bash, zsh and fish."""


@completion.command(short_help="Write the script of a shell into its place.")
@_shell_option
def install(shell: str | None) -> None:
    """Write the completion script where the shell looks for it. Your own start files are not changed."""
    chosen = _shell(shell)
    file = _place(chosen)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, _script(chosen), mode=_READABLE)
    except OSError as error:
        raise CompletionError(
            f"{file} cannot be written: {error.strerror}. The script: mljupyter completion show"
        ) from None
    say(f"Written: {file}\n{_NEXT[chosen].format(file=file, directory=file.parent)}")


@completion.command(short_help="Remove the script of a shell.")
@_shell_option
def uninstall(shell: str | None) -> None:
    """Remove the script that install has written."""
    file = _place(_shell(shell))
    if file.exists():
        file.unlink()
        say(f"Removed: {file}")
    else:
        say(f"Not installed: there is no {file}")


@completion.command(short_help="Print the script of a shell.")
@_shell_option
def show(shell: str | None) -> None:
    """Print the completion script of a shell."""
    say(_script(_shell(shell)), nl=False)


_NEXT = {
    "bash": "New shells have it if bash-completion is installed. Otherwise add to ~/.bashrc: source '{file}'",
    "zsh": "Add to ~/.zshrc, if it is not there: fpath+=('{directory}'); autoload -Uz compinit; compinit",
    "fish": "New shells have it.",
}


def _shell(given: str | None) -> str:
    found = given or Path(os.environ.get("SHELL", "")).name
    if found not in _SHELLS:
        raise click.UsageError(
            f"$SHELL is {os.environ.get('SHELL', '')!r}: completion is for {', '.join(_SHELLS)}. Choose: --shell bash"
        )
    return found


def _place(shell: str) -> Path:
    data = in_home(os.environ.get("XDG_DATA_HOME"), ".local/share")
    settings = in_home(os.environ.get("XDG_CONFIG_HOME"), ".config")
    return {
        "bash": data / "bash-completion" / "completions" / _PROGRAM,
        "zsh": data / "zsh" / "site-functions" / f"_{_PROGRAM}",
        "fish": settings / "fish" / "completions" / f"{_PROGRAM}.fish",
    }[shell]


def _script(shell: str) -> str:
    from mljupyter.cli.app import app  # which imports this module

    made = get_completion_class(shell)
    if made is None:
        raise CompletionError(f"There is no completion for {shell}.")
    # Not source(): that of bash starts a bash to see its version.
    completion_of_shell = made(app, {}, _PROGRAM, _VARIABLE)
    return str(completion_of_shell.source_template % completion_of_shell.source_vars()) + "\n"
