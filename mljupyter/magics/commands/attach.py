"""``%mlj attach``: show the compute targets, attach a cluster, and choose the Docker engine for containers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mljupyter.magics.magic import Call
from mljupyter.notebook.options.option import GIVEN
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.session import Session
from mljupyter.notebook.sources.docker_engines import address_rule, problem_of
from mljupyter.notebook.views.views import MARKS, Outcome, Table
from mljupyter.spec.placement import labels_of


def run(call: Call) -> Any:
    """Attach a cluster; or check that a Docker engine answers, and use it for containers from now on."""
    import os

    address = call["address"]
    if ":" not in address and "/" not in address:
        return _cluster(call, address)
    problem = address_rule(address) or problem_of(address)
    if problem:
        raise WrongInputError(problem)
    os.environ["DOCKER_HOST"] = address
    call.session.workspace().controller.stop()  # the next controller uses the new engine; replicas keep serving
    return Outcome("ok", "docker", address)


def _cluster(call: Call, name: str) -> Any:
    """Attach a cluster with its lines of progress, or only check it."""
    from mljupyter.core.compute import cluster  # only for clusters
    from mljupyter.targets.kubernetes.attachment import (
        ClusterSettings,
        annotations_of,
        publishing_of,
        replica_defaults,
    )

    workspace = call.session.workspace()
    settings = ClusterSettings(
        call["kubeconfig"],
        call["context"],
        call["namespace"],
        purpose=call["purpose"],
        service_type=call["service_type"],
        internal=call["internal"],
        subnet=call["subnet"],
        image=call["image"],
        replicas=replica_defaults(
            call["gpu_resource"],
            labels_of(call["node_selector"]),
            call["toleration"],
            call["runtime_class"],
            call["collected_data_claim"],
        ),
        endpoint_namespaces=tuple(call["endpoint_namespace"]),
        publishing=publishing_of(
            ingress_class=call["ingress_class"],
            scoring_host=call["scoring_host"],
            scoring_path=call["scoring_path"],
            tls_secret=call["tls_secret"],
            annotations=annotations_of(call["annotation"]),
            gateway=call["gateway"],
            gateway_section=call["gateway_section"],
        ),
    )
    if call["check"]:
        found = _attached_findings(call, name) or cluster.findings(workspace, name, settings)
        rows = [(MARKS[one.state], one.name, one.text, one.fix) for one in found]
        return Table(("", "Check", "Finding", "Way out"), rows, [asdict(one) for one in found], "")
    if call["dry_run"]:
        print(cluster.manifests_text(workspace, name, settings))
        return None
    cluster.begin(workspace, name, settings, force=call["force"])
    cluster.ClusterCompute(workspace, name).wait_for_completion(show_output=True)
    return Outcome("ok", name, f"namespace {settings.namespace}")


def _attached_findings(call: Call, name: str) -> Any:
    """Return the findings for an attached cluster of this name; none if options say which cluster is meant."""
    targets = call.session.workspace().context.targets
    if name not in targets or {"kubeconfig", "context", "namespace", "image"} & call[GIVEN]:
        return ()
    return targets[name].findings()


def wizard(session: Session, namespace: Mapping[str, Any]) -> Any:
    """Return the form that shows the compute targets, attaches a cluster and takes the address of a Docker engine."""
    from mljupyter.widgets.wizards.attach_wizard import AttachWizard  # slow import; only if a widget is shown

    return AttachWizard(session)
