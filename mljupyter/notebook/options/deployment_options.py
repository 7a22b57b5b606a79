"""Options of a deployment: of `%deploy`, of its cell body, and of the wizard."""

from __future__ import annotations

from mljupyter.notebook.options.option import ENDPOINT_NAME, JSON, OUTPUT, QUIET, Option
from mljupyter.targets.catalog import default_name

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")

CURRENT = "current"
"""The name of the environment with this notebook's packages."""

DEPLOYMENT_OPTIONS = (
    ENDPOINT_NAME,
    Option(
        "estimator",
        "fitted estimator or pipeline of this notebook: it is registered, and its scoring script written",
        metavar="ESTIMATOR",
        positional=True,
        completes="estimator",
    ),
    Option(
        "model",
        "registered model, the newest version unless one is named; with ESTIMATOR, the name it is registered under",
        metavar="MODEL[:VERSION]",
        completes="model",
        repeatable=True,
    ),
    Option(
        "score",
        "scoring script kept by %%score, a .py file, or a variable with an InferenceConfig",
        metavar="SCRIPT",
        completes="score",
    ),
    Option(
        "sample",
        "rows as ESTIMATOR was fitted with, a variable or expression: the example in the description of the API",
        metavar="ROWS",
        completes="variable",
    ),
    Option("method", "what ESTIMATOR does for each request", choices=METHODS, metavar="METHOD"),
    Option("source-directory", "directory with modules that ESTIMATOR needs", metavar="DIR"),
    Option(
        "environment",
        "registered environment, requirements.txt or conda file, or current: this notebook's packages",
        metavar="ENVIRONMENT",
        completes="environment",
    ),
    Option(
        "env",
        "variable that the scoring script finds in its environment",
        kind="assignment",
        metavar="NAME=VALUE",
        repeatable=True,
    ),
    Option("env-from", "file of NAME=VALUE lines, for what is secret and not to stand in a notebook", metavar="FILE"),
    Option("to", "compute target", metavar="TARGET", default=default_name(), completes="target"),
    Option(
        "kind",
        "which kind of Azure ML web service it behaves as",
        choices=("aks", "aci", "local"),
        default="aks",
    ),
    Option(
        "auth",
        "how clients authenticate; key is the default for aks, none for others",
        choices=("key", "token", "none"),
    ),
    Option(
        "version",
        "add or change this version of an endpoint that has several",
        metavar="VERSION",
        completes="version",
    ),
    Option("traffic", "the version's share of the requests in percent", kind="integer", metavar="PERCENT", minimum=0),
    Option("replicas", "fixed number of replicas", kind="integer", metavar="N", minimum=1),
    Option("autoscale", "least and most replicas; between them the load decides", kind="bounds", metavar="MIN:MAX"),
    Option(
        "target-utilization",
        "percentage of the replicas that should be busy, with --autoscale",
        kind="integer",
        metavar="PERCENT",
        minimum=1,
    ),
    Option("cpu", "cores for a replica, such as 0.5 or 500m", kind="cores", metavar="CORES"),
    Option("memory", "memory for a replica in GB, such as 1.5 or 512Mi", kind="gigabytes", metavar="GB"),
    Option("port", "port to listen on, with --kind local", kind="integer", metavar="PORT", minimum=1),
    Option("max-concurrent-requests", "requests a replica runs at a time", kind="integer", metavar="N", minimum=1),
    Option("max-queue-wait-ms", "longest wait for a free replica before 503", kind="integer", metavar="MS", minimum=1),
    Option("batching", "one run() for requests that wait together; else the script decides", kind="switch"),
    Option("preload", "run init() once, and let replicas share the memory it fills", kind="switch"),
    Option("wait", "wait until it is Healthy, or return at once", kind="switch", default=True),
    Option("panel", "follow it in a live panel with a button that cancels; the cell ends at once", kind="flag"),
    Option("timeout", "longest time to wait", kind="duration", metavar="TIME", default="5m"),
    Option("dry-run", "show what would change and do nothing", kind="flag"),
    Option("code", "show the Python that does the same and do nothing", kind="flag"),
    OUTPUT,
    JSON,
    QUIET,
)
