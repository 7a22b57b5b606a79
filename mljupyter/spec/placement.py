"""Placement: the nodes of a cluster that the replicas of a version run on, and their namespace."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mljupyter.spec.document import Document, SpecError

MOST_LABELS = 64
MOST_TOLERATIONS = 64
_LONGEST_PREFIX = 253
_LONGEST_SECONDS = 2**31 - 1
_WORD = r"[a-zA-Z0-9]([-a-zA-Z0-9_.]{0,61}[a-zA-Z0-9])?"
_DOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
NAMESPACE_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_SUBDOMAIN = re.compile(_DOMAIN)
_KEY = re.compile(rf"({_DOMAIN}/)?{_WORD}")
_RESOURCE = re.compile(rf"{_DOMAIN}/{_WORD}")
_TAINT = re.compile(r"(?P<key>[^=:]+)(=(?P<value>[^=:]*))?(:(?P<effect>[^=:]+))?")


def _label_key(key: str) -> str:
    if not _KEY.fullmatch(key) or len(key.rpartition("/")[0]) > _LONGEST_PREFIX:
        raise ValueError(
            f"{key!r:.200} is not a key of Kubernetes. Rule: at most 63 letters, digits, '-', '_' and '.', a letter "
            "or digit first and last; before it a domain and '/', if it has one"
        )
    return key


def _label_keys(labels: dict[str, str]) -> dict[str, str]:
    for key in labels:
        _label_key(key)
    return labels


def _resource(name: str) -> str:
    prefix = name.rpartition("/")[0]
    reserved = prefix == "kubernetes.io" or prefix.endswith(".kubernetes.io") or prefix.startswith("requests.")
    if not _RESOURCE.fullmatch(name) or len(prefix) > _LONGEST_PREFIX or reserved:
        raise ValueError(
            f"{name!r:.200} is not the resource of an accelerator. Rule: a domain other than kubernetes.io, '/' and a "
            "name, as the device plug-in on the nodes announces it, such as 'nvidia.com/gpu' or 'amd.com/gpu'"
        )
    return name


def _claim(name: str) -> str:
    if not _SUBDOMAIN.fullmatch(name):
        raise ValueError(
            f"{name!r:.200} cannot name a PersistentVolumeClaim. Rule: at most 253 lower-case letters, digits, '-' and "
            "'.', a letter or digit first and last"
        )
    return name


def labels_of(texts: Iterable[str]) -> dict[str, str]:
    """Return labels that are written ``LABEL=VALUE``.

    Raises:
        SpecError: a text has no ``=``.

    Example:
        >>> labels_of(["disk=fast", "zone=a"])
        {'disk': 'fast', 'zone': 'a'}

    """
    pairs = [(text, *text.partition("=")) for text in texts]
    for text, _, equals, _ in pairs:
        if not equals:
            raise SpecError(f"{text!r:.200} is not a label with its value. Rule: LABEL=VALUE, such as 'disk=fast'.")
    return {name: value for _, name, _, value in pairs}


LabelKey = Annotated[str, Field(min_length=1, max_length=317), AfterValidator(_label_key)]
LabelValue = Annotated[str, Field(max_length=63, pattern=rf"^({_WORD})?$")]
AcceleratorResource = Annotated[str, Field(min_length=3, max_length=317), AfterValidator(_resource)]
"""The name under which nodes count accelerators."""


class Toleration(Document):
    """A taint of nodes that replicas tolerate, as in a pod of Kubernetes.

    `toleration_seconds` is the time after which a replica leaves a node that gets the taint.
    """

    key: LabelKey | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: Annotated[int, Field(ge=0, le=_LONGEST_SECONDS)] | None = None

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        if self.operator == "Exists" and self.value:
            raise ValueError(f"operator is 'Exists' and value {self.value!r}: with a value, operator is 'Equal'")
        if self.key is None and self.operator == "Equal":
            raise ValueError("key is missing: only with operator 'Exists' are all taints tolerated")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise ValueError("tolerationSeconds is only for effect 'NoExecute'")
        return self

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the toleration of a taint that is written as for ``kubectl taint``: ``KEY[=VALUE][:EFFECT]``.

        Raises:
            SpecError: the text breaks a rule.

        Example:
            >>> Toleration.of("gpu=yes:NoSchedule").document()
            {'key': 'gpu', 'operator': 'Equal', 'value': 'yes', 'effect': 'NoSchedule'}
            >>> Toleration.of("gpu").document()
            {'key': 'gpu', 'operator': 'Exists'}

        """
        found = _TAINT.fullmatch(text)
        if found is None:
            raise SpecError(
                f"toleration {text!r:.200}: this is not a taint. Rule: KEY[=VALUE][:EFFECT], "
                "such as 'gpu=yes:NoSchedule'."
            )
        parts = {name: part for name, part in found.groupdict().items() if part is not None}
        try:
            return cls.parse({"operator": "Equal" if "value" in parts else "Exists", **parts})
        except SpecError as error:
            raise SpecError(f"toleration {text!r:.200}: {error.message}") from None


class NodePlacement(Document):
    """The nodes that replicas run on: labels that a node must have, taints that are tolerated, the RuntimeClass."""

    node_selector: Annotated[dict[str, LabelValue], Field(max_length=MOST_LABELS), AfterValidator(_label_keys)] = {}
    tolerations: Annotated[list[Toleration], Field(max_length=MOST_TOLERATIONS)] = []
    runtime_class: Annotated[str, Field(min_length=1, max_length=253, pattern=rf"^{_DOMAIN}$")] | None = None


class Placement(NodePlacement):
    """The nodes that the replicas of a version run on, and their namespace.

    A compute target may add its own: labels under other keys, further tolerations, a RuntimeClass if there is none.
    `namespace` is None for the namespace of the compute target.
    """

    namespace: Annotated[str, Field(pattern=NAMESPACE_PATTERN)] | None = None


class ReplicaDefaults(NodePlacement):
    """The settings of all replicas of a compute target: their placement, and the resource that their `gpu` counts.

    `collected_data_claim` is the PersistentVolumeClaim for the data that they collect; without it, that ends with its
    pod.
    """

    gpu_resource: AcceleratorResource = "nvidia.com/gpu"
    collected_data_claim: Annotated[str, Field(max_length=253), AfterValidator(_claim)] | None = None
