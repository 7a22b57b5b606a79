"""The Helm chart, generated from the objects of an installation.

Values that are only inserted are given to `installation` as expressions of a template. Values that change objects are
tried out: an object that differs is written once for each case, below the condition that chooses it.
"""

from __future__ import annotations

import re
from dataclasses import replace

from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.crd import custom_resource_definition
from mljupyter.kubernetes.objects.installation import (
    Installation,
    Manifest,
    Purpose,
    Reader,
    ServiceType,
    endpoint_namespace_objects,
    installation,
)
from mljupyter.kubernetes.objects.place import Place
from mljupyter.kubernetes.objects.publishing import KINDS, NGINX_ANNOTATIONS, Publishing
from mljupyter.kubernetes.objects.yaml import to_yaml

_DEFINITION = "CustomResourceDefinition"
_NAMESPACE = "{{ .Release.Namespace }}"
_SERVICE_TYPE = "{{ .Values.router.serviceType }}"
_TYPE_OF_SERVICE = (
    f'{{{{ ternary "{ServiceType.CLUSTER_IP}" .Values.router.serviceType '
    f'(has .Values.router.serviceType (list "{ServiceType.INGRESS}" "{ServiceType.HTTP_ROUTE}")) }}}}'
)
_PLACE_OF_TYPE = "type-of-service"  # the expression is longer than a line of YAML
_POLICY = '{{ ternary "policy/v1" "policy/v1beta1" (.Capabilities.APIVersions.Has "policy/v1") }}'
_PRODUCTION = f'eq .Values.purpose "{Purpose.FAST_PROD}"'
_INGRESS = f'eq .Values.router.serviceType "{ServiceType.INGRESS}"'
_ROUTE = f'eq .Values.router.serviceType "{ServiceType.HTTP_ROUTE}"'
_INTERNAL = ".Values.router.internal"
_NODES = ".Values.readsNodes"
_ADMISSION = ".Values.admission"
_CLAIM = ".Values.replicas.collectedDataClaim"
_SELECTOR = "{{ toJson (.Values.replicas.nodeSelector | default dict) }}"
_TOLERATIONS = "{{ toJson (.Values.replicas.tolerations | default list) }}"

_OTHERS = ".Values.endpointNamespaces"
_EACH = Place("{{ . }}", home="{{ $.Release.Namespace }}")
"""A namespace for endpoints, in a loop over all of them."""

# Any Gateway: an object that does not need one does not name it.
_PUBLISHING = Publishing(gateway="{{ .Values.router.gateway.namespace }}/{{ .Values.router.gateway.name }}")
_HOST = "{{ .Values.router.scoringHost }}"
_OF_INGRESS = replace(
    _PUBLISHING,
    ingress_class="{{ .Values.router.ingress.className }}",
    scoring_host=_HOST,
    scoring_path="{{ .Values.router.ingress.path }}",
    tls_secret="{{ .Values.router.ingress.tlsSecret }}",  # noqa: S106 - a name
)
_OF_ROUTE = replace(_PUBLISHING, scoring_host=_HOST, gateway_section="{{ .Values.router.gateway.section }}")
_ANNOTATIONS = "{{ toJson .Values.router.ingress.annotations }}"
_OPTIONAL = (
    (r" *ingressClassName: .*\n", ".Values.router.ingress.className"),
    (r" *host: .*\n", ".Values.router.scoringHost"),
    (r" *hostnames:\n.*\n", ".Values.router.scoringHost"),
    (r" *sectionName: .*\n", ".Values.router.gateway.section"),
    (r" *tls:\n *- hosts:\n.*\n *secretName: .*\n", ".Values.router.ingress.tlsSecret"),
)
"""Lines that are written if a value is not empty."""

_BASE = Installation(
    image="{{ .Values.image }}",
    target="{{ .Values.target }}",
    workspace="{{ .Values.workspace }}",
    namespace=_NAMESPACE,
    create_namespace=False,
    policy=_POLICY,
    replicas="{{ toJson .Values.replicas }}",
    endpoint_namespaces=(f'{{{{ join "," {_OTHERS} }}}}',),
    publishing=_PUBLISHING,
)
_READER = Reader("{{ .Values.replicas.collectedDataClaim }}", _SELECTOR, _TOLERATIONS)  # type: ignore[arg-type]
_CONDITIONS = (
    (_PRODUCTION, replace(_BASE, purpose=Purpose.FAST_PROD), replace(_BASE, purpose=Purpose.DEV_TEST)),
    (_INTERNAL, replace(_BASE, internal=True), replace(_BASE, internal=False)),
    (_INGRESS, replace(_BASE, service=ServiceType.INGRESS, publishing=_OF_INGRESS), _BASE),
    (_ROUTE, replace(_BASE, service=ServiceType.HTTP_ROUTE, publishing=_OF_ROUTE), _BASE),
    (_NODES, replace(_BASE, reads_nodes=True), replace(_BASE, reads_nodes=False)),
    (_ADMISSION, replace(_BASE, admission=True), replace(_BASE, admission=False)),
    (_CLAIM, replace(_BASE, reader=_READER), replace(_BASE, reader=None)),
)
"""A condition, an installation where it holds, and one where it does not."""


def chart_files(release: str, image: str) -> dict[str, str]:
    """Return the files of the chart by their paths in it.

    Parameters:
        release: the version of the chart.
        image: the default image of operator and router.

    """
    return {
        "Chart.yaml": _chart(release),
        "values.yaml": _values(image),
        # Helm creates what is in this directory before everything else, and never changes or removes it.
        f"crds/{names.PLURAL}.yaml": to_yaml([custom_resource_definition()]),
        "templates/mljupyter.yaml": _templates(),
        "templates/NOTES.txt": _NOTES,
    }


def _templates() -> str:
    cases = [(condition, _by_name(holds), _by_name(fails)) for condition, holds, fails in _CONDITIONS]
    everything: dict[str, Manifest] = {}
    for _, holds, fails in cases:
        everything |= holds | fails
    parts = []
    for name, manifest in everything.items():
        differing = [case for case in cases if case[1].get(name) != case[2].get(name)]
        if len(differing) > 1:
            raise ValueError(f"{name} depends on several values: {[case[0] for case in differing]}")
        parts.append(_chosen(name, *differing[0]) if differing else _text(manifest))
    repeated = "".join(_text(manifest) for manifest in endpoint_namespace_objects(_EACH))
    parts.append(f"{{{{- range {_OTHERS} }}}}\n{repeated}{{{{- end }}}}\n")
    return "".join(parts)


def _by_name(wanted: Installation) -> dict[str, Manifest]:
    # The type of the router's Service is an expression, too. It is put in here, since it is no `ServiceType`. So are
    # the annotations, which are no mapping.
    found = {}
    for manifest in installation(wanted):
        if manifest["kind"] == _DEFINITION or names.INSTALLATION_LABEL in manifest["metadata"].get("labels", {}):
            continue  # the latter are in the loop over the namespaces for endpoints
        if manifest["kind"] == "Service" and manifest["metadata"]["name"] == names.ROUTER:
            manifest["spec"]["type"] = _PLACE_OF_TYPE
        if manifest["kind"] == ServiceType.INGRESS:
            manifest["metadata"]["annotations"] = _ANNOTATIONS
        if (manifest["kind"], manifest["metadata"]["name"]) == ("Deployment", names.OPERATOR):
            for variable in manifest["spec"]["template"]["spec"]["containers"][0]["env"]:
                if variable["name"] == names.SERVICE_TYPE_VARIABLE:
                    variable["value"] = _SERVICE_TYPE
        found[f"{manifest['kind']} {manifest['metadata']['name']}"] = manifest
    return found


def _chosen(name: str, condition: str, holds: dict[str, Manifest], fails: dict[str, Manifest]) -> str:
    one, other = holds.get(name), fails.get(name)
    if one is None and other is not None:
        condition, one, other = f"not ({condition})", other, None
    text = f"{{{{- if {condition} }}}}\n" + (_text(one) if one is not None else "")
    text += f"{{{{- else }}}}\n{_text(other)}" if other is not None else ""
    return text + "{{- end }}\n"


def _text(manifest: Manifest) -> str:
    # An expression with quotation marks of its own, or with a list or mapping, must stand without those of YAML.
    text = to_yaml([manifest])
    for expression in (_POLICY, _ANNOTATIONS, _SELECTOR, _TOLERATIONS):
        text = text.replace(f"'{expression}'", expression)
    text = text.replace(_PLACE_OF_TYPE, _TYPE_OF_SERVICE)
    if manifest["kind"] in KINDS:
        for lines, value in _OPTIONAL:
            text = re.sub(lines, rf"{{{{- if {value} }}}}\n\g<0>{{{{- end }}}}\n", text)
    return text


def _chart(release: str) -> str:
    return f"""\
apiVersion: v2
name: mljupyter
description: Endpoints for machine learning models, deployed from notebooks
type: application
version: {release}
appVersion: "{release}"
kubeVersion: ">=1.20.0-0"
"""


def _values(image: str) -> str:
    types = ", ".join(item.value for item in ServiceType)
    annotations = "\n".join(f'      {name}: "{value}"' for name, value in sorted(NGINX_ANNOTATIONS.items()))
    return f"""\
# The image of operator and router.
image: {image}
# {Purpose.FAST_PROD}: two operators, three routers. {Purpose.DEV_TEST}: one of each, for development and tests.
purpose: {Purpose.FAST_PROD}
# The names of the workspace, and of the compute target under which this cluster is attached to it.
workspace: default
target: cluster
# Whether the operator may read the size of nodes, which takes a ClusterRole.
readsNodes: true
# Whether the API server asks the operator before it stores an endpoint, so that kubectl shows which rule it breaks.
# This takes a ValidatingWebhookConfiguration and a ClusterRole. Kubernetes 1.20 also needs a label of the namespace:
#   kubectl label namespace NAME {names.NAMESPACE_LABEL}=NAME
admission: true
router:
  # {types}
  serviceType: {ServiceType.CLUSTER_IP}
  # Whether a load balancer is reached only from the network of the cluster.
  internal: false
  # For {ServiceType.INGRESS} and {ServiceType.HTTP_ROUTE}: the host of scoring URIs; empty for any.
  scoringHost: ""
  ingress:
    # The IngressClass; empty for that of the cluster.
    className: ""
    # The beginning of the paths of scoring URIs: / or /api/v1/service. Others need an annotation that takes them away.
    path: /
    # The Secret with the certificate of the host.
    tlsSecret: ""
    # These let ingress-nginx leave limits of sizes and times to the routers. Other controllers ignore them.
    annotations:
{annotations}
  # For {ServiceType.HTTP_ROUTE}: the Gateway, and optionally one of its listeners.
  gateway:
    namespace: ""
    name: ""
    section: ""
# All replicas: gpuResource (nvidia.com/gpu), nodeSelector, tolerations, runtimeClass, and collectedDataClaim: the
# PersistentVolumeClaim for collected data, in the namespace of the release.
replicas: {{}}
# Other namespaces that endpoints may run in. They must exist.
endpointNamespaces: []
"""


_NOTES = f"""\
The pods start when their access Secret is there:

  kubectl create secret generic {names.ACCESS_SECRET} --namespace {_NAMESPACE} \\
    --from-literal={names.API_KEY}=$(openssl rand -hex 32) --from-literal={names.INTERNAL_KEY}=$(openssl rand -hex 32)

Then attach the cluster in a notebook: %mlj attach. See docs/kubernetes-administration.md for what is installed.
"""
