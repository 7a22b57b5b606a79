"""Catalogue of all magics: names, options and help. Importing it does not import the commands."""

from __future__ import annotations

from dataclasses import replace

from mljupyter.magics.magic import Magic
from mljupyter.notebook.options.attach_options import ATTACH_OPTIONS
from mljupyter.notebook.options.deployment_options import DEPLOYMENT_OPTIONS
from mljupyter.notebook.options.option import ENDPOINT_NAME, ENDPOINT_VERSION, JSON, OUTPUT, QUIET, Option
from mljupyter.notebook.views.log_lines import LEVELS

DRY_RUN = Option("dry-run", "show the changes without making them", kind="flag")
CODE = Option("code", "show the equivalent Python code without running it", kind="flag")
GUARD = Option(
    "guard",
    "conditions such as 'p95<200ms, errors<1%'; if one is broken, the previous shares are restored",
    metavar="CONDITIONS",
)
FRAMEWORKS = ("Custom", "TensorFlow", "ScikitLearn", "Onnx", "TfKeras", "PyTorch", "Multi")

SCORE = Magic(
    name="score",
    summary="Check a scoring script, run it on a sample, and store it under a name for %deploy --score NAME.",
    body="the scoring script: init(), called once, and run(data), called for each request with its text",
    needs_body=True,
    interrupted="The test run was ended; the script stored under this name has not changed.",
    options=(
        Option("name", "name of the scoring script", metavar="NAME", positional=True, required=True, completes="score"),
        Option(
            "sample",
            "data for a test run: JSON, a variable or expression, or @file",
            metavar="DATA",
            completes="variable",
            expression=True,
        ),
        Option(
            "model",
            "registered model for the test run; init() finds it below AZUREML_MODEL_DIR",
            metavar="MODEL[:VERSION]",
            completes="model",
            repeatable=True,
        ),
        Option("source-directory", "directory with files that the script needs", metavar="DIR"),
        Option("timeout", "maximum duration of the test run", kind="duration", default="60s", minimum=0.1),
        Option("output", "store the InferenceConfig in this variable", short="-o", metavar="VAR"),
        Option("quiet", "print nothing but errors", kind="flag"),
    ),
    example="""%%score ridge-score --model diabetes-ridge --sample {"data": [[0.1, 0.2]]}
import json, os, joblib

def init():
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "ridge.pkl"))

def run(data):
    return model.predict(json.loads(data)["data"]).tolist()""",
    run="score:run",
)


DEPLOY = Magic(
    name="deploy",
    summary="Deploy an estimator, or registered models with a scoring script; later runs change only differences.\n"
    "An interrupt undoes it: a new endpoint is deleted, a changed one is restored. With --no-wait it continues.",
    options=DEPLOYMENT_OPTIONS,
    wizard="deploy:wizard",
    body="YAML: one option per line, by its name; or the whole specification of an endpoint",
    reads_body=True,
    example="%deploy diabetes ridge --sample X_train\n"
    "%deploy diabetes --model diabetes-ridge --score ridge-score\n"
    "%deploy diabetes --model diabetes-ridge:2 --score ridge-score --replicas 2 --dry-run\n"
    "%deploy diabetes --version version-b --traffic 10 --model diabetes-ridge:2 --score ridge-score",
    run="deploy:run",
)


INVOKE = Magic(
    name="invoke",
    summary="Send data to an endpoint and show its answer.",
    options=(
        ENDPOINT_VERSION,
        Option(
            "data",
            'JSON, a variable or expression, or @file; data frames and arrays are sent as {"data": rows}, and CSV and '
            "Parquet files and directories of them in parts",
            metavar="DATA",
            positional=True,
            completes="variable",
            expression=True,
        ),
        Option("output", "store the answer in this variable instead of showing it", short="-o", metavar="VAR"),
        Option(
            "batch-rows",
            "send a table in parts of N rows, as many at once as the replicas can run; the results are in order",
            kind="integer",
            metavar="N",
            minimum=1,
        ),
        Option("restart", "send all parts again, also those that an interrupted run has finished", kind="flag"),
        JSON,
    ),
    example='%invoke diabetes {"data": [[0.04, 0.05, 0.06]]}\n%invoke diabetes X_test[:2] -o predictions\n'
    "%invoke diabetes:version-b X_test[:2]\n%invoke diabetes @visits.parquet --batch-rows 1000 -o result\n"
    '%%invoke diabetes\n{"data": [[0.04, 0.05, 0.06]]}',
    body="the data, as JSON",
    interrupted="The request was cancelled.",
    run="invoke:run",
)


LOGS = Magic(
    name="logs",
    summary="Show the last log lines of an endpoint's replicas, or the build log of its image.",
    options=(
        ENDPOINT_VERSION,
        Option("lines", "number of lines", kind="integer", short="-n", metavar="N", default=100, minimum=1),
        Option(
            "follow",
            "follow new lines: in a live panel in a notebook, elsewhere until interrupted",
            kind="flag",
            short="-f",
        ),
        Option("startup", "the start of the newest replica", kind="flag"),
        Option("build", "the build log of its image", kind="flag"),
        Option("since", "only lines of the last TIME", kind="duration", metavar="TIME", minimum=1),
        Option("level", "only lines of this level and above", metavar="LEVEL", choices=LEVELS),
        Option("grep", "only lines that match this regular expression", metavar="PATTERN"),
        JSON,
        OUTPUT,
    ),
    example="%logs diabetes -n 20\n%logs diabetes:version-b --since 5m --level warning\n%logs diabetes -f --grep Error",
    run="logs:run",
)


MONITOR = Magic(
    name="monitor",
    summary="Show requests, errors, latencies and replicas of endpoints, for each version.",
    options=(
        Option(
            "names",
            "names of endpoints",
            metavar="NAME...",
            positional=True,
            required=True,
            repeatable=True,
            completes="endpoint",
        ),
        Option(
            "window", "period of the measurements, until now", kind="duration", metavar="TIME", default="5m", minimum=1
        ),
        Option("every", "time between two tables", kind="duration", metavar="TIME", default="2s", minimum=0.5),
        Option("once", "show one table and end", kind="flag"),
        Option("text", "print tables until interrupted, as in a terminal, instead of a panel", kind="flag"),
        Option("output", "store the measurements in this variable, as a tidy DataFrame", short="-o", metavar="VAR"),
        JSON,
    ),
    example="%monitor diabetes\n%monitor diabetes iris --once\n%monitor diabetes --window 1h -o df",
    run="monitor:run",
)


ENDPOINTS = Magic(
    name="endpoints",
    summary="List the endpoints of the workspace with state and scoring URI, or show how other programs call one.",
    options=(
        Option(
            "name",
            "show how other programs call this endpoint: URI, curl and Python, without its key",
            metavar="NAME",
            positional=True,
            completes="endpoint",
        ),
        Option("uris", "has no effect: scoring URIs are always shown", kind="flag"),
        JSON,
        OUTPUT,
    ),
    example="%endpoints\n%endpoints diabetes\n%endpoints --json",
    run="endpoints:run",
)


MODELS = Magic(
    name="models",
    summary="List the registered models with versions, tags, and the endpoints that use them; or delete models.",
    options=(
        Option(
            "names",
            "only this model, one row for each version; or delete and the models to delete",
            metavar="NAME[:VERSION]",
            positional=True,
            repeatable=True,
            completes="model",
        ),
        Option("all-versions", "delete all versions of a model that is given without one", kind="flag"),
        DRY_RUN,
        JSON,
        OUTPUT,
    ),
    example="%models\n%models diabetes-ridge\n%models delete diabetes-ridge:1 diabetes-ridge:2\n"
    "%models delete diabetes-ridge --all-versions --dry-run",
    run="models:run",
)


COMPUTE = Magic(
    name="compute",
    summary="List the compute targets, and whether each can be used now, or why not.",
    options=(JSON, OUTPUT),
    example="%compute\n%deploy diabetes ridge --to docker",
    run="compute:run",
)


TRAFFIC = Magic(
    name="traffic",
    summary="Show or change how requests are split between the versions of an endpoint.",
    options=(
        ENDPOINT_NAME,
        Option(
            "shares",
            "share of each version; a version that is not named gets 0, and the default version gets the rest",
            metavar="VERSION=PERCENT",
            positional=True,
            completes="share",
            repeatable=True,
        ),
        Option(
            "mirror",
            "copy this share of the requests to a version and discard its answers",
            metavar="VERSION=PERCENT",
            completes="share",
            repeatable=True,
        ),
        Option(
            "sticky-header",
            "requests with the same value of this header go to the same version; none turns it off",
            metavar="HEADER",
        ),
        Option(
            "promote", "make this version the default and give it all requests", metavar="VERSION", completes="version"
        ),
        Option("rollback", "restore the endpoint to its state before the last change", kind="flag"),
        Option("over", "shift the requests in equal steps over this time", kind="duration", metavar="TIME"),
        Option(
            "step",
            "percentage points of a step with --over; the default is 10",
            kind="integer",
            metavar="PERCENT",
            minimum=1,
        ),
        GUARD,
        DRY_RUN,
        CODE,
        Option("wizard", "show a form with a slider for each version", kind="flag"),
        JSON,
        OUTPUT,
        QUIET,
    ),
    example="%traffic diabetes\n%traffic diabetes version-a=90 version-b=10\n%traffic diabetes --mirror version-c=20\n"
    "%traffic diabetes version-b=100 --over 30m --guard 'p95<200ms, errors<1%'\n%traffic diabetes --promote version-b",
    wizard="traffic:wizard",
    run="traffic:run",
)


SCALE = Magic(
    name="scale",
    summary="Show or change the number of replicas of an endpoint's versions, with the reason for the present number.",
    options=(
        ENDPOINT_NAME,
        Option(
            "size",
            "a fixed number of replicas, or bounds for the autoscaler",
            "text",
            "N|MIN:MAX",
            positional=True,
        ),
        Option("version", "the version; the default is the default version", metavar="VERSION", completes="version"),
        Option("replicas", "a fixed number of replicas", "integer", "N", minimum=1),
        Option(
            "min", "minimum of replicas; with 0 the last one ends if there are no requests", "integer", "N", minimum=0
        ),
        Option("max", "maximum of replicas", "integer", "N", minimum=1),
        Option(
            "target-utilization",
            "percentage of the replicas that should be busy",
            "integer",
            "PERCENT",
            minimum=1,
        ),
        Option("refresh", "longest time from a change of the load to a decision", "duration", "TIME", minimum=1),
        Option("down-after", "fewer replicas after this time with less load", "duration", "TIME", minimum=1),
        Option(
            "zero-after", "no replicas after this time without a request, with --min 0", "duration", "TIME", minimum=1
        ),
        DRY_RUN,
        CODE,
        JSON,
        OUTPUT,
    ),
    example="%scale diabetes\n%scale diabetes 3 --dry-run\n%scale diabetes 1:5\n"
    "%scale diabetes --min 0 --max 5 --zero-after 10m",
    run="scale:run",
)


ROLLOUT = Magic(
    name="rollout",
    interrupted="The rollout continues: %rollout {name} shows it, %rollout {name} --abort ends it.",
    summary="Increase a version's share of the requests step by step (canary release), or show the progress.",
    options=(
        ENDPOINT_NAME,
        Option(
            "version",
            "the version; without it, the rollout is shown",
            metavar="VERSION",
            positional=True,
            completes="version",
        ),
        Option("steps", "increasing shares in percent", metavar="PERCENT,...", default="5,25,100"),
        Option("every", "minimum duration of a step", kind="duration", metavar="TIME", default="1m"),
        GUARD,
        Option(
            "least-requests",
            "number of requests from which on a condition is checked",
            kind="integer",
            metavar="N",
            minimum=1,
        ),
        Option("promote", "make it the default version at the end", kind="flag"),
        Option("wait", "wait for the end and print a line for each step", kind="flag"),
        Option("pause", "keep the rollout in its step; the guard stays in effect", kind="flag"),
        Option("resume", "continue a paused rollout; its step starts again", kind="flag"),
        Option("abort", "end the rollout and restore the previous shares", kind="flag"),
        DRY_RUN,
        CODE,
        JSON,
        OUTPUT,
        QUIET,
    ),
    example="%rollout diabetes version-b --steps 5,25,100 --every 10m --guard 'p95<200ms, errors<1%' --promote\n"
    "%rollout diabetes\n%rollout diabetes --abort",
    run="rollout:run",
)


ROLLBACK = Magic(
    name="rollback",
    summary="Restore an endpoint to its state before the last change. A second rollback reverts the first.",
    options=(
        ENDPOINT_NAME,
        Option("to", "entry of the history, see %mlj history", kind="integer", metavar="NUMBER", minimum=1),
        DRY_RUN,
        CODE,
        JSON,
        QUIET,
    ),
    example="%rollback diabetes --dry-run\n%rollback diabetes\n%rollback diabetes --to 3",
    run="rollback:run",
)


# `%history` is IPython's own.
HISTORY = Magic(
    name="history",
    summary="Show the changes of an endpoint with user and time, the newest first.",
    options=(ENDPOINT_NAME, JSON, OUTPUT),
    example="%mlj history diabetes",
    run="rollback:run_history",
)


UNDEPLOY = Magic(
    name="undeploy",
    summary="Delete endpoints with their replicas, routes and keys, or versions of them. Registered models stay.",
    options=(
        Option(
            "names",
            "endpoints to delete, or versions of them; nothing is deleted if one cannot be",
            metavar="NAME[:VERSION]",
            positional=True,
            required=True,
            repeatable=True,
            completes="endpoint-version",
        ),
        DRY_RUN,
        CODE,
        JSON,
        QUIET,
    ),
    interrupted="The change continues: see %endpoints.",
    example="%undeploy diabetes --dry-run\n%undeploy diabetes:version-b\n%undeploy diabetes churn",
    run="undeploy:run",
)


REGISTER = Magic(
    name="register",
    summary="Register a file or directory as the next version of a model. Without arguments it opens a wizard.",
    options=(
        Option("path", "the file or directory", metavar="PATH", positional=True, required=True),
        Option("model", "the model's name", metavar="NAME", positional=True, required=True, completes="model"),
        Option("framework", "framework of the model", metavar="FRAMEWORK", choices=FRAMEWORKS),
        Option("tag", "tag of the model", metavar="KEY=VALUE", repeatable=True),
        Option("description", "description of the model", metavar="TEXT"),
        JSON,
        OUTPUT,
    ),
    wizard="register_model:wizard",
    example="%mlj register model.pkl diabetes-ridge --framework ScikitLearn --tag area=demo\n%mlj register",
    run="register_model:run",
)


TRY = Magic(
    name="try",
    summary="Try an endpoint with a form made from the description of its API: it shows the answer and the latency.",
    options=(ENDPOINT_VERSION,),
    example="%mlj try diabetes\n%mlj try diabetes:version-b",
    run="try_it:run",
)


COMPARE = Magic(
    name="compare",
    summary="Compare the versions of an endpoint: the control first, then the treatments.",
    options=(
        ENDPOINT_NAME,
        Option("live", "show a panel with live measurements", kind="flag"),
        Option("wizard", "show a form that promotes a version", kind="flag"),
    ),
    wizard="compare:wizard",
    example="%mlj compare diabetes\n%mlj compare diabetes --live\n%mlj compare",
    run="compare:run",
)


ATTACH = Magic(
    name="attach",
    summary="Attach a Kubernetes cluster under a name, or use a Docker engine, given by its address, for containers. "
    "Without an argument it shows the compute targets.",
    options=ATTACH_OPTIONS,
    expands=True,
    wizard="attach:wizard",
    example="%mlj attach team-cluster --purpose DevTest\n%mlj attach team-cluster --kubeconfig $path --check\n"
    "%mlj attach ssh://user@host\n%mlj attach",
    run="attach:run",
)


DETACH = Magic(
    name="detach",
    summary="Detach a Kubernetes cluster: delete all that was installed there, and prove that nothing is left.",
    options=(
        Option(
            "name",
            "name of the compute target",
            metavar="NAME",
            positional=True,
            required=True,
            completes="target",
        ),
        Option("force", "delete the endpoints of the cluster as well", kind="flag"),
        Option("forget", "change nothing in the cluster: it is gone, or cannot be reached", kind="flag"),
        QUIET,
    ),
    expands=True,
    example="%mlj detach team-cluster\n%mlj detach team-cluster --force",
    interrupted="Run it again to remove the rest.",
    run="detach:run",
)


DOCTOR = Magic(
    name="doctor",
    summary="Check Python, router, workspace, controller, sockets, ports, optional packages and extensions of Jupyter.",
    options=(JSON, OUTPUT),
    example="%mlj doctor",
    run="doctor:run",
)


WORKSPACE = Magic(
    name="workspace",
    summary="Show or choose the workspace that the magics use.",
    options=(
        Option(
            "name", "name of a workspace, or its directory", metavar="NAME|DIR", positional=True, completes="workspace"
        ),
        Option("create", "create it if it does not exist", kind="flag"),
        Option("output", "store the Workspace in this variable", short="-o", metavar="VAR"),
        Option("quiet", "print nothing but errors", kind="flag"),
    ),
    example="%mlj workspace\n%mlj workspace churn-team --create",
    run="workspace:run",
)

SHORT = (
    SCORE,
    DEPLOY,
    INVOKE,
    LOGS,
    MONITOR,
    ENDPOINTS,
    MODELS,
    COMPUTE,
    TRAFFIC,
    SCALE,
    ROLLOUT,
    ROLLBACK,
    UNDEPLOY,
)
"""Magics that are registered under their own name as well."""

LONG = tuple(
    replace(magic, prefix="mlj ") for magic in (HISTORY, REGISTER, TRY, COMPARE, ATTACH, DETACH, DOCTOR, WORKSPACE)
)
"""Magics that exist only below ``%mlj``."""

UMBRELLA = Magic(
    name="mlj",
    summary="All of mljupyter's magics under one name: %mlj deploy is %deploy, and so on.",
    options=(),
    example="%mlj doctor\n%mlj workspace\n%mlj deploy diabetes --model diabetes-ridge --score ridge-score",
    subcommands=(*SHORT, *LONG),
)
