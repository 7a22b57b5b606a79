"""Registration of the magics in a shell, and its removal.

`load` registers ``%mlj``, which has all magics, and the short names that are free.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from mljupyter.azureml import az_program, hook
from mljupyter.magics.az_line import NAME as AZ
from mljupyter.magics.az_line import az_function
from mljupyter.magics.catalog import SHORT, UMBRELLA
from mljupyter.magics.completion import IDENTIFIER, matcher
from mljupyter.magics.magic import Call, Magic, StoppedError, has_widgets
from mljupyter.magics.parsing import TOOLTIP_WIDTH, help_text, parse, split
from mljupyter.magics.settings import add_settings, remove_settings
from mljupyter.notebook.options.cell_body import values_in_cell
from mljupyter.notebook.options.defaults import project_defaults
from mljupyter.notebook.options.option_values import WrongInputError, near
from mljupyter.notebook.session import forget, session_of
from mljupyter.notebook.sources.expressions import expanded
from mljupyter.notebook.views.views import Text

_OWNER_MARK = "mljupyter_magic"
_HOOK_MARK = "mljupyter_installed_hook"


def load(shell: Any) -> None:
    """Register the magics and their completion in a shell, ``%az``, and the names of ``azureml``.

    Repeating changes nothing.
    """
    az_program.add_to_path()
    if hook.install():
        setattr(shell, _HOOK_MARK, True)
    add_settings(shell)
    taken, magics = register(shell)
    for name in taken:
        print(f"mljupyter: %{name} belongs to another extension: use %mlj {name}.", file=sys.stderr)
    matchers = shell.Completer.custom_matchers
    if not any(getattr(known, "matcher_identifier", "") == IDENTIFIER for known in matchers):
        matchers.append(matcher(magics, session_of(shell).names))


def unload(shell: Any) -> None:
    """Remove the magics, their completion and the names of ``azureml``; names of other extensions stay."""
    if getattr(shell, _HOOK_MARK, False):  # otherwise it belongs to the environment
        hook.uninstall()
        delattr(shell, _HOOK_MARK)
    az_program.remove_from_path()
    remove_settings(shell)
    unregister(shell)
    matchers = shell.Completer.custom_matchers
    matchers[:] = [known for known in matchers if getattr(known, "matcher_identifier", "") != IDENTIFIER]
    forget(shell)


def register(shell: Any) -> tuple[list[str], dict[str, Magic]]:
    """Register ``%mlj`` and the short names that are free.

    Returns the names that other extensions hold, and the magics by their registered names.
    """
    taken: list[str] = []
    ours: dict[str, Magic] = {}
    for magic in (UMBRELLA, *SHORT):
        kinds = ("line", "cell") if magic.body or magic.subcommands else ("line",)
        others = [kind for kind in kinds if _held_by_another(shell, kind, magic.name)]
        if others and magic is not UMBRELLA:
            taken.append(magic.name)
            continue
        for kind in kinds:
            shell.register_magic_function(_function(shell, magic), kind, magic.name)
        ours[magic.name] = magic
    if not _held_by_another(shell, "line", AZ):
        function = az_function(shell)
        setattr(function, _OWNER_MARK, True)
        shell.register_magic_function(function, "line", AZ)
    return taken, ours


def unregister(shell: Any) -> None:
    """Remove the magics of mljupyter from a shell."""
    for table in shell.magics_manager.magics.values():
        for name in [name for name, function in table.items() if hasattr(function, _OWNER_MARK)]:
            del table[name]


def execute(shell: Any, magic: Magic, line: str, body: str | None, local: Mapping[str, Any] | None = None) -> Any:
    """Run one call of a magic, and return the cell's value.

    Parameters:
        shell: the shell.
        magic: the declaration.
        line: the line after the name.
        body: the cell below ``%%name``; None for the line form.
        local: the variables at the place of the call; None if they are those of the notebook.

    Raises:
        MLJupyterError: one to five lines with the problem and a solution.

    """
    line = line.rstrip().removesuffix(";").strip()  # the convention of IPython to show nothing
    if magic.subcommands:
        name, line = (*line.split(maxsplit=1), "", "")[:2]
        if not name or name in ("-h", "--help"):
            return Text(_overview(magic))
        magic = _subcommand(magic, name)
    local = {} if local is None or local is shell.user_ns else dict(local)
    words = split(line, magic)
    if magic.expands:
        words = [expanded(word, {**shell.user_ns, **local}) for word in words]
    if _asks_for_help(magic, words, body):
        values = None
    else:
        below = values_in_cell(body, magic.options) if magic.reads_body and body is not None else {}
        values = parse(magic, words, {**project_defaults(magic.name, magic.options), **below})
    if values is None and not words and magic.wizard and has_widgets(shell):
        return magic.open_wizard(session_of(shell), {**shell.user_ns, **local} if local else shell.user_ns)
    if values is None:
        return Text(help_text(magic).rstrip())
    if body is not None and not magic.body:
        raise WrongInputError(f"%%{magic.name} is not a cell magic: write it with a single %, on a line of its own.")
    session = session_of(shell)
    call = Call(magic, values, body, shell, session, local)
    call.check_output_variable()
    try:
        return magic.carry_out(call)
    except KeyboardInterrupt:
        said = magic.interrupted.replace("{name}", str(values.get("name") or "NAME"))
        raise StoppedError(f"{magic.spelled} was interrupted. {said}".rstrip()) from None


def _asks_for_help(magic: Magic, words: list[str], body: str | None) -> bool:
    return not words and body is None and any(option.required for option in magic.options)


def _subcommand(umbrella: Magic, name: str) -> Magic:
    for magic in umbrella.subcommands:
        if magic.name == name:
            return magic
    known = [magic.name for magic in umbrella.subcommands]
    raise WrongInputError(f"%{umbrella.name} has no subcommand {name!r}.{near(name, known)}")


def _overview(umbrella: Magic, most: int = 1000) -> str:
    """Return the summaries of the subcommands, in lines of at most `most` characters."""
    width = max(len(magic.name) for magic in umbrella.subcommands)
    lines = [
        textwrap.fill(
            f"  {magic.name:{width}}  {summary}", most, subsequent_indent=" " * (width + 4), replace_whitespace=False
        )
        for magic in umbrella.subcommands
        for summary in [magic.summary if most >= 1000 else " ".join(magic.summary.split())]
    ]
    return "\n".join([umbrella.summary, "", *lines, "", f"More: %{umbrella.name} NAME --help"])


def _function(shell: Any, magic: Magic) -> Callable[..., Any]:
    def function(line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None) -> Any:
        return execute(shell, magic, line, cell, local_ns)

    function.__name__ = function.__qualname__ = magic.name
    function.__doc__ = _overview(magic, TOOLTIP_WIDTH) if magic.subcommands else help_text(magic, TOOLTIP_WIDTH)
    # IPython would expand {x} and $x silently, and all or none: names are resolved one by one instead.
    function._ipython_magic_no_var_expand = True  # type: ignore[attr-defined]
    function._ipython_magic_output_can_be_silenced = True  # type: ignore[attr-defined]
    function.needs_local_scope = True  # type: ignore[attr-defined]  # IPython then gives local_ns
    setattr(function, _OWNER_MARK, magic)
    return function


def _held_by_another(shell: Any, kind: str, name: str) -> bool:
    function = shell.magics_manager.magics[kind].get(name)
    return function is not None and not hasattr(function, _OWNER_MARK)
