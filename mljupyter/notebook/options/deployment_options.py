"""Options of a deployment: of `%deploy`, of its cell body, and of the wizard."""

from __future__ import annotations

from mljupyter.notebook.options.option import ENDPOINT_NAME, JSON, OUTPUT, QUIET, Option
from mljupyter.targets.catalog import default_name

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")

EVERYTHING = "all"
"""The word of ``--reset`` for all settings."""

RESETTABLE = (
    *("auth", "replicas", "autoscale", "target-utilization", "cpu", "memory", "gpu", "gpu-resource"),
    *("node-selector", "toleration", "runtime-class", "namespace", "model-delivery", "max-concurrent-requests"),
    *("max-queue-wait-ms", "batching", "preload", "env", "environment", "pins", "method", "source-directory"),
)
"""The settings that an endpoint keeps when it is deployed again without them."""

CURRENT = "current"
"""The name of the environment with this notebook's packages."""

DEPLOYMENT_OPTIONS = (
    ENDPOINT_NAME,
    Option(
        "estimator",
        "fitted estimator or other model of this notebook; it is registered, and a scoring script is generated",
        metavar="ESTIMATOR",
        positional=True,
        completes="estimator",
        expression=True,
    ),
    Option(
        "model",
        "registered model, by default its newest version; with ESTIMATOR, the name under which it is registered",
        metavar="MODEL[:VERSION]",
        completes="model",
        repeatable=True,
    ),
    Option(
        "score",
        "scoring script stored by %%score, a .py file, or a variable with an InferenceConfig",
        metavar="SCRIPT",
        completes="score",
    ),
    Option(
        "sample",
        "rows of ESTIMATOR's training data, a variable or expression: the example in the OpenAPI document",
        metavar="ROWS",
        completes="variable",
        expression=True,
    ),
    Option("method", "method of ESTIMATOR that answers a request", choices=METHODS, metavar="METHOD"),
    Option(
        "extra-columns",
        "columns of a request that ESTIMATOR does not know: ignore them (the default), or refuse the request with 400",
        choices=("ignore", "refuse"),
    ),
    Option("source-directory", "directory with modules that ESTIMATOR needs", metavar="DIR"),
    Option(
        "environment",
        "registered environment, requirements.txt, conda file, pyproject.toml or directory with one, or current: this "
        "notebook's packages",
        metavar="ENVIRONMENT",
        completes="environment",
    ),
    Option(
        "pins",
        "versions of --environment that do not exist: exact stops, compatible relaxes them with a warning, as is the "
        "default for an environment of Azure ML",
        choices=("exact", "strict", "compatible"),
    ),
    Option(
        "env",
        "environment variable for the scoring script",
        kind="assignment",
        metavar="NAME=VALUE",
        repeatable=True,
    ),
    Option("env-from", "file of NAME=VALUE lines, for secrets that must not be in a notebook", metavar="FILE"),
    Option(
        "to",
        "compute target; an existing endpoint stays on its own",
        metavar="TARGET",
        default=default_name(),
        completes="target",
    ),
    Option(
        "kind",
        "kind of Azure ML web service; an existing endpoint keeps its kind",
        choices=("aks", "aci", "local"),
        default="aks",
    ),
    Option(
        "auth",
        "how clients authenticate; for a new endpoint key with aks, none with others",
        choices=("key", "token", "none"),
    ),
    Option(
        "version",
        "add or change this version of an endpoint with several versions",
        metavar="VERSION",
        completes="version",
    ),
    Option("traffic", "the version's share of the requests in percent", kind="integer", metavar="PERCENT", minimum=0),
    Option("replicas", "fixed number of replicas", kind="integer", metavar="N", minimum=1),
    Option(
        "autoscale", "minimum and maximum of replicas; the number follows the load", kind="bounds", metavar="MIN:MAX"
    ),
    Option(
        "target-utilization",
        "percentage of the replicas that should be busy, with --autoscale",
        kind="integer",
        metavar="PERCENT",
        minimum=1,
    ),
    Option("cpu", "cores for a replica, such as 0.5 or 500m", kind="cores", metavar="CORES"),
    Option("memory", "memory for a replica in GB, such as 1.5 or 512Mi", kind="gigabytes", metavar="GB"),
    Option("gpu", "number of GPUs or other accelerators of a replica", kind="integer", metavar="N", minimum=0),
    Option(
        "gpu-resource",
        "name under which a cluster counts them, such as amd.com/gpu; by default that of the compute target",
        metavar="RESOURCE",
    ),
    Option(
        "node-selector",
        "label that a node of the cluster must have to run replicas",
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
    Option("runtime-class", "RuntimeClass of the cluster that runs the containers", metavar="NAME"),
    Option(
        "model-delivery",
        "on a cluster, fetch the models into a volume or build them into the image; by default by their size",
        choices=("mount", "bake"),
    ),
    Option("namespace", "namespace of a cluster that the replicas run in; by default that of the target"),
    Option("port", "port to listen on, with --kind local", kind="integer", metavar="PORT", minimum=1),
    Option(
        "max-concurrent-requests", "number of concurrent requests of a replica", kind="integer", metavar="N", minimum=1
    ),
    Option("max-queue-wait-ms", "longest wait for a free replica before 503", kind="integer", metavar="MS", minimum=1),
    Option(
        "batching", "run several waiting requests in one call of run(); by default the script decides", kind="switch"
    ),
    Option("preload", "run init() once, in a process from which all replicas are forked", kind="switch"),
    Option(
        "reset",
        "return this setting of an existing endpoint to its default; without an option, it keeps its value",
        metavar="SETTING",
        choices=(*RESETTABLE, EVERYTHING),
        repeatable=True,
    ),
    Option("remove-tls", "remove the endpoint's own certificate, which encrypts requests", kind="flag"),
    Option("wait", "wait until the endpoint is Healthy, or return at once", kind="switch", default=True),
    Option(
        "panel",
        "show the progress in a live panel, which can cancel the deployment; the cell ends at once",
        kind="flag",
    ),
    Option("timeout", "maximum time to wait", kind="duration", metavar="TIME", default="5m"),
    Option("dry-run", "show the changes without making them", kind="flag"),
    Option("code", "show the equivalent Python code without running it", kind="flag"),
    OUTPUT,
    JSON,
    QUIET,
)
