"""The spec of a version: models, scoring script, size, scaling, share of the traffic."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mljupyter.spec.document import Document
from mljupyter.spec.placement import AcceleratorResource, Placement
from mljupyter.spec.texts import Texts, Variables

MOST_MODELS = 1000
MOST_REPLICAS = 10_000
MOST_CORES = 1_000_000_000
MOST_GIGABYTES = 1_000_000_000
_DAY = 86_400
"""Seconds: the longest timeout of a run or of ``init()`` that a replica can have."""

_MANY = 2**31 - 1

LARGEST_NUMBER = 2**62
"""The largest number that a database stores exactly."""

NoCode = Literal["auto", "sklearn", "onnx", "tensorflow", "mlflow"]
ModelDelivery = Literal["mount", "bake"]
"""How models reach a replica on a cluster: fetched into a volume before it starts, or as part of its image."""

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


def is_below(path: str) -> bool:
    """Return whether a relative path stays below its base directory.

    Line ends and other control characters are also refused, since the path becomes part of a line in a Dockerfile.
    """
    return all(part not in ("", ".", "..") for part in path.split("/")) and all(ord(letter) >= 32 for letter in path)


def is_one_name(name: str) -> bool:
    """Return whether text is the name of a single file or directory, not a path."""
    return not ("/" in name or "\0" in name or name in ("", ".", ".."))


def below(path: str) -> str:
    """Return a path that passes `is_below`, or raise `ValueError`."""
    if not is_below(path):
        raise ValueError(f"{path!r:.200} leads elsewhere. Rule: a relative path without '..' and control characters")
    return path


def one_name(name: str) -> str:
    """Return the name of one file or directory, or raise `ValueError`."""
    if not is_one_name(name):
        raise ValueError(f"{name!r:.200} is a path. Rule: the name of one file or directory, without '/'")
    return name


class ModelReference(Document):
    """A registered model, and the digest of its content in the artifact store."""

    name: Annotated[str, AfterValidator(one_name)]
    version: Annotated[int, Field(ge=0, le=LARGEST_NUMBER)]
    digest: Digest
    entry: Annotated[
        str,
        Field(min_length=1, description="file or directory name under <name>/<version>/"),
        AfterValidator(one_name),
    ]

    @property
    def id(self) -> str:
        """The model's id, ``name:version``."""
        return f"{self.name}:{self.version}"


class CodeReference(Document):
    """The scoring script and its source directory, as a snapshot in the artifact store.

    `entry_script` is relative to the app root: ``score.py``, or ``<source directory's name>/score.py``.
    """

    digest: Digest
    entry_script: Annotated[str, Field(pattern=r"\.py$"), AfterValidator(below)]
    source_directory: Annotated[str, AfterValidator(below)] | None = None


class Resources(Document):
    """The resources of one replica. CPU in cores, memory in GB.

    `gpu` is a number of accelerators, and `gpu_resource` the name under which a cluster counts them; by default that of
    the compute target.
    """

    cpu: Annotated[float, Field(gt=0, le=MOST_CORES)] = 0.1
    memory_in_gb: Annotated[float, Field(gt=0, le=MOST_GIGABYTES)] = 0.5
    cpu_limit: Annotated[float, Field(gt=0, le=MOST_CORES)] | None = None
    memory_in_gb_limit: Annotated[float, Field(gt=0, le=MOST_GIGABYTES)] | None = None
    gpu: Annotated[int, Field(ge=0, le=10_000)] = 0
    gpu_resource: AcceleratorResource | None = None

    @model_validator(mode="after")
    def _limits_cover_requests(self) -> Self:
        if self.cpu_limit is not None and self.cpu_limit < self.cpu:
            raise ValueError(f"cpuLimit is {self.cpu_limit}, below cpu {self.cpu}: a limit covers the request")
        if self.memory_in_gb_limit is not None and self.memory_in_gb_limit < self.memory_in_gb:
            raise ValueError(
                f"memoryInGBLimit is {self.memory_in_gb_limit}, below memoryInGB {self.memory_in_gb}: "
                "a limit covers the request"
            )
        return self


class AutoscalePolicy(Document):
    """The autoscaling policy of a version (Azure ML v1: AksWebservice, autoscaling).

    The number of replicas is reduced after fewer were needed for `scale_down_seconds`. With `min_replicas` 0, our own
    extension, the last replica is stopped after `scale_to_zero_seconds` without a request. Requests then wait until a
    new one has started, for at most about `max_wake_wait_ms`.
    """

    min_replicas: Annotated[int, Field(ge=0)] = 1
    max_replicas: Annotated[int, Field(ge=1, le=MOST_REPLICAS)] = 10
    target_utilization: Annotated[int, Field(ge=1, le=_MANY)] = 70
    refresh_seconds: Annotated[int, Field(ge=1, le=_MANY)] = 1
    scale_down_seconds: Annotated[int, Field(ge=1, le=86_400)] = 60
    scale_to_zero_seconds: Annotated[int, Field(ge=1, le=31_536_000)] = 300
    max_wake_wait_ms: Annotated[int, Field(ge=1000, le=600_000)] = 60_000

    @model_validator(mode="after")
    def _min_within_max(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"minReplicas is {self.min_replicas}, maxReplicas {self.max_replicas}: min must not exceed max"
            )
        return self


class Scaling(Document):
    """Either a fixed number of replicas or an autoscale policy."""

    replicas: Annotated[int, Field(ge=1, le=MOST_REPLICAS)] | None = None
    autoscale: AutoscalePolicy | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.replicas is not None and self.autoscale is not None:
            raise ValueError("replicas and autoscale cannot be combined: give one")
        return self

    @property
    def initial_replicas(self) -> int:
        """The initial number of replicas; at least one, so that a script that cannot start is noticed."""
        return max(self.autoscale.min_replicas, 1) if self.autoscale else (self.replicas or 1)

    @property
    def least_replicas(self) -> int:
        """The minimum number of replicas."""
        return self.autoscale.min_replicas if self.autoscale else (self.replicas or 1)


class RequestLimits(Document):
    """Limits of requests: concurrent runs in a replica, waiting, run time, body size."""

    max_concurrent_requests: Annotated[int, Field(ge=1, le=1000)] = 1
    max_queue_wait_ms: Annotated[int, Field(ge=1, le=_DAY * 1000)] = 500
    max_queue_length: Annotated[int, Field(ge=1, le=10_000)] = 100
    scoring_timeout_ms: Annotated[int, Field(ge=1, le=_DAY * 1000)] = 60_000
    max_body_bytes: Annotated[int, Field(ge=1, le=1 << 31)] = 100 * 1024 * 1024


class LivenessProbe(Document):
    """The liveness probe of a replica. `initial_delay_seconds` is also the timeout of ``init()``."""

    period_seconds: Annotated[int, Field(ge=1, le=_MANY)] = 10
    initial_delay_seconds: Annotated[int, Field(ge=1, le=_DAY)] = 310
    timeout_seconds: Annotated[int, Field(ge=1, le=_MANY)] = 2
    success_threshold: Annotated[int, Field(ge=1, le=_MANY)] = 1
    failure_threshold: Annotated[int, Field(ge=1, le=_MANY)] = 3


class VersionSpec(Document):
    """The desired state of one version of an endpoint.

    An `image` contains code and models already; then `code` and `models` describe its content. With `model_delivery`
    "mount" it contains no models: on a cluster they are fetched from its container registry. A `no_code` version
    serves its only model without a scoring script. With `batching` None, the script decides whether requests are
    batched. With `preload`, ``init()`` runs once and the replicas share its memory, where that is safe.
    """

    code: CodeReference | None = None
    image: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    image_id: Annotated[str | None, Field(description="name:version, where `image` is registered")] = None
    models: Annotated[list[ModelReference], Field(max_length=MOST_MODELS)] = []
    no_code: NoCode | None = None
    model_delivery: Annotated[
        ModelDelivery | None,
        Field(description="mount: fetched into a volume on a cluster; bake, default: in the image"),
    ] = None
    model_bytes: Annotated[int | None, Field(ge=0, le=LARGEST_NUMBER, description="space of mounted models")] = None
    interpreter: str | None = None
    environment_variables: Variables = {}
    resources: Resources = Resources()
    placement: Placement | None = None
    scaling: Scaling = Scaling()
    limits: RequestLimits = RequestLimits()
    probe: LivenessProbe = LivenessProbe()
    batching: bool | None = None
    preload: bool = False
    collect_model_data: bool = False
    traffic_percentile: Annotated[int, Field(ge=0, le=100)] = 0
    mirror_percentile: Annotated[int, Field(ge=0, le=100, description="share copied to it, answers thrown away")] = 0
    app_insights_enabled: bool = False
    reload: Annotated[int, Field(ge=0, le=LARGEST_NUMBER, description="raised by one to replace all replicas")] = 0
    description: str | None = None
    tags: Texts = {}
    properties: Texts = {}

    @model_validator(mode="after")
    def _something_to_run(self) -> Self:
        if self.code is None and self.image is None and self.no_code is None:
            raise ValueError("code is missing: a version needs code, or an image that has it")
        if self.no_code is not None and len(self.models) != 1:
            raise ValueError(
                f"noCode is {self.no_code!r} with {len(self.models)} models: without a script a version serves one"
            )
        if self.model_delivery == "mount" and (self.code is None and self.no_code is None):
            raise ValueError(
                "modelDelivery is 'mount' without code: only images with our scoring server fetch models. Leave it out "
                "for an image that has its models"
            )
        if self.mirror_percentile and self.traffic_percentile:
            raise ValueError(
                f"mirrorPercentile is {self.mirror_percentile}, trafficPercentile {self.traffic_percentile}: a version "
                "either answers requests or is sent copies of them. Set one of them to 0"
            )
        return self
