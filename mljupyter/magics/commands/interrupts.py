"""Undo a change when the cell that makes it is interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mljupyter.deploy.apply import undo
from mljupyter.magics.magic import Call, StoppedError


@contextmanager
def taken_back_if_interrupted(call: Call) -> Iterator[None]:
    """Restore the endpoint of the magic if the ``with`` block is interrupted.

    Raises:
        StoppedError: it was interrupted; the message describes the present endpoint.

    """
    workspace, name = call.session.workspace(), call.endpoint
    before = workspace.endpoints.endpoint(name)
    try:
        yield
    except KeyboardInterrupt:
        try:
            outcome = undo(workspace.context, name, before)
        except KeyboardInterrupt:
            outcome = "A second interrupt came before it was undone: see %endpoints."
        raise StoppedError(f"{call.magic.spelled} was interrupted. {outcome}") from None
