"""``%mlj detach``: remove a Kubernetes cluster from the workspace, with everything that was installed there."""

from __future__ import annotations

from typing import Any

from mljupyter.magics.magic import Call
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.views.views import Outcome


def run(call: Call) -> Any:
    """Detach the cluster with lines of progress; refuse if it has endpoints, unless they are to be deleted as well."""
    from mljupyter.core.compute import ComputeTarget  # only when it is used
    from mljupyter.core.compute.cluster import ClusterCompute  # only for clusters

    target = ComputeTarget(call.session.workspace(), call["name"])
    if not isinstance(target, ClusterCompute):
        target.detach()  # says that it cannot be detached
        return None
    if not call["force"] and not call["forget"] and (endpoints := target.endpoint_names()):
        raise WrongInputError(
            f"{target.name} has {len(endpoints)} endpoint{'s'[: len(endpoints) > 1]}: {', '.join(endpoints)}.\n"
            f"To delete {'them' if len(endpoints) > 1 else 'it'} as well: %mlj detach {target.name} --force"
        )
    target.detach(call.say, forget=call["forget"])
    call.session.cache.refresh_soon()
    return Outcome("ok", target.name, "forgotten; the cluster is unchanged" if call["forget"] else "detached")
