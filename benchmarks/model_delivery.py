"""Measure a deployment with a large model on a cluster: in the image, or fetched from the registry.

Needs the test bed's engine, base image, registry and cluster (variables TESTBED_*).
Run: python -m benchmarks.model_delivery [MEGABYTES]
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, get_args

from mljupyter.build.images.docker.engine import connect, push
from mljupyter.build.images.registry.references import Reference
from mljupyter.build.images.registry.registry_client import RegistryClient
from mljupyter.core import AksWebservice, Environment, InferenceConfig, Model, Workspace
from mljupyter.core.compute import ComputeTarget, KubernetesCompute
from mljupyter.spec.version import ModelDelivery
from mljupyter.targets.kubernetes import control_plane_image

SCRIPT = """
import os
from azureml.core.model import Model

def init():
    global size
    size = os.path.getsize(Model.get_model_path("large"))  # {number}

def run(data):
    return size
"""


def main() -> None:
    """Print the table."""
    base, registry = (os.environ.get(f"TESTBED_{name}") for name in ("BASE_IMAGE", "REGISTRY"))
    kubeconfig = os.environ.get("TESTBED_KUBECONFIG")
    if not (base and registry and kubeconfig):
        sys.exit('Run `../shared/testbed/testbed up`, then `eval "$(../shared/testbed/testbed env)"`.')
    megabytes = int(sys.argv[1]) if sys.argv[1:] else 200
    with tempfile.TemporaryDirectory(prefix="mljupyter-benchmark-") as temporary:
        os.environ |= {"MLJUPYTER_HOME": f"{temporary}/home", "MLJUPYTER_BASE_IMAGE": base}
        control_plane = control_plane_image.ensure(None, lambda line: None)
        os.environ |= {"MLJUPYTER_BASE_IMAGE": _pushed(base, registry), "MLJUPYTER_CONTAINER_REGISTRY": registry}
        workspace = Workspace.create("delivery")
        configuration = KubernetesCompute.attach_configuration(
            kubeconfig=kubeconfig,
            namespace=f"delivery-{secrets.token_hex(4)}",
            cluster_purpose="DevTest",
            service_type="NodePort",
            image=control_plane,
        )
        target: Any = ComputeTarget.attach(workspace, "team", configuration)
        target.wait_for_completion()
        try:
            print(f"| model of {megabytes} MB | step | pushed after | Healthy after | image |\n|---|---|---|---|---|")
            for delivery in get_args(ModelDelivery):
                _measure(workspace, target, Path(temporary), delivery, megabytes)
        finally:
            target.detach()


def _measure(workspace: Workspace, target: Any, directory: Path, delivery: ModelDelivery, megabytes: int) -> None:
    name = f"with-{delivery}"
    steps = (("first deployment", 1, True), ("another script", 2, False), ("another model", 2, True))
    model: Model | None = None
    for step, number, is_new in steps:
        if is_new:
            path = directory / "large.bin"
            path.write_bytes(secrets.token_bytes(megabytes * 1_000_000))
            model = Model.register(workspace, str(path), "large")
        source = directory / f"{delivery}-{number}"
        source.mkdir(exist_ok=True)
        (source / "score.py").write_text(SCRIPT.format(number=number))
        began = time.monotonic()
        service = Model.deploy(
            workspace,
            name,
            [model],
            InferenceConfig("score.py", source_directory=str(source), environment=Environment("bare")),
            AksWebservice.deploy_configuration(num_replicas=1, memory_gb=0.5, model_delivery=delivery),
            deployment_target=target,
            overwrite=True,
        )
        pushed = time.monotonic() - began
        service.wait_for_deployment()
        healthy = time.monotonic() - began
        image = workspace.endpoint_records()[-1].spec.versions[name].image
        size = _size(str(image)) / 1_000_000
        print(f"| {delivery} | {step} | {pushed:.1f} s | {healthy:.1f} s | {size:,.0f} MB |", flush=True)
    service.delete()


def _size(image: str) -> int:
    reference = Reference.parse(image)
    with RegistryClient(reference.host, reference.path) as client:
        return sum(int(layer["size"]) for layer in client.manifest(reference.version).json()["layers"])


def _pushed(base: str, registry: str) -> str:
    """Push the base image to the registry, where images are put together, and return its name there."""
    reference = f"{registry}/{base}"
    engine = connect(timeout=300)
    engine.images.get(base).tag(reference)
    push(engine, Reference.parse(reference), ())
    engine.images.remove(reference)
    engine.close()
    return reference


if __name__ == "__main__":
    main()
