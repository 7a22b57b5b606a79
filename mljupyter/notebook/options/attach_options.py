"""The options of ``%mlj attach``, which its form asks for as well."""

from __future__ import annotations

from mljupyter.notebook.options.option import Option

ATTACH_OPTIONS = (
    Option(
        "address",
        "name for the cluster, or address of a Docker engine",
        metavar="NAME|ADDRESS",
        positional=True,
        required=True,
    ),
    Option("kubeconfig", "kubeconfig file of the cluster; by default KUBECONFIG or ~/.kube/config", metavar="FILE"),
    Option("context", "context of the kubeconfig; by default the current one"),
    Option("namespace", "namespace for operator, routers and endpoints; it is created", default="mljupyter"),
    Option(
        "purpose",
        "FastProd needs 12 vCPU and runs several routers, DevTest runs one",
        choices=("FastProd", "DevTest"),
        default="FastProd",
    ),
    Option(
        "service-type",
        "how clients reach the routers",
        choices=("ClusterIP", "NodePort", "LoadBalancer", "Ingress", "HTTPRoute"),
        default="ClusterIP",
    ),
    Option("internal", "the load balancer is reached only from the own network", kind="flag"),
    Option("subnet", "subnet of an internal load balancer (Azure)"),
    Option("ingress-class", "IngressClass; by default that of the cluster", metavar="NAME"),
    Option("scoring-host", "host of scoring URIs, for Ingress and HTTPRoute", metavar="HOST"),
    Option("scoring-path", "beginning of their paths, such as /ml", metavar="PATH"),
    Option("tls-secret", "Secret with the certificate of the host, for Ingress", metavar="NAME"),
    Option("annotation", "annotation of the Ingress or the HTTPRoute", metavar="NAME=VALUE", repeatable=True),
    Option("gateway", "Gateway of the HTTPRoute", metavar="[NAMESPACE/]NAME"),
    Option("gateway-section", "listener of the Gateway", metavar="NAME"),
    Option("image", "image of operator and routers; by default it is built", metavar="IMAGE"),
    Option(
        "gpu-resource",
        "resource that counts the accelerators of replicas; by default nvidia.com/gpu",
        metavar="RESOURCE",
    ),
    Option(
        "node-selector",
        "label that a node must have to run replicas",
        kind="label",
        metavar="LABEL=VALUE",
        repeatable=True,
    ),
    Option(
        "toleration",
        "taint of nodes that replicas tolerate",
        metavar="KEY[=VALUE][:EFFECT]",
        repeatable=True,
    ),
    Option("runtime-class", "RuntimeClass of replicas", metavar="NAME"),
    Option(
        "endpoint-namespace",
        "other namespace that endpoints may run in; it must exist",
        metavar="NAMESPACE",
        repeatable=True,
    ),
    Option("collected-data-claim", "PersistentVolumeClaim for the data that scripts collect", metavar="NAME"),
    Option("check", "only check the cluster", kind="flag"),
    Option("dry-run", "only show the objects that would be applied", kind="flag"),
    Option("force", "take over the installation of another workspace", kind="flag"),
)
