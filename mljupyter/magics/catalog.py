"""The catalogue of the magics: names, options, help. Reading it imports none of the work they do."""

from __future__ import annotations

from dataclasses import replace

from mljupyter.magics.magic import Magic
from mljupyter.notebook.options.deployment_options import DEPLOYMENT_OPTIONS
from mljupyter.notebook.options.option import ENDPOINT_NAME, ENDPOINT_VERSION, JSON, OUTPUT, QUIET, Option
from mljupyter.notebook.views.log_lines import LEVELS

DRY_RUN = Option("dry-run", "show what would change and do nothing", kind="flag")
CODE = Option("code", "show the Python that does the same and do nothing", kind="flag")
GUARD = Option(
    "guard",
    "conditions such as 'p95<200ms, errors<1%'; when one is broken, requests are divided as before",
    metavar="CONDITIONS",
)
FRAMEWORKS = ("Custom", "TensorFlow", "ScikitLearn", "Onnx", "TfKeras", "PyTorch", "Multi")

SCORE = Magic(
    name="score",
    summary="Check a scoring script, try it on a sample and keep it under a name for %deploy --score NAME.",
    body="the scoring script: init(), called once, and run(data), called for each request with its text",
    needs_body=True,
    interrupted="The try was ended; the script kept under this name is as it was.",
    options=(
        Option("name", "name of the scoring script", metavar="NAME", positional=True, required=True, completes="score"),
        Option("sample", "try it on this: JSON, a variable, or @file", metavar="DATA", completes="variable"),
        Option(
            "model",
            "registered model that init() finds below AZUREML_MODEL_DIR during the try",
            metavar="MODEL[:VERSION]",
            completes="model",
            repeatable=True,
        ),
        Option("source-directory", "directory whose files go along with the script", metavar="DIR"),
        Option("timeout", "longest time the try may take", kind="duration", default="60s", minimum=0.1),
        Option("output", "keep the InferenceConfig in this variable", short="-o", metavar="VAR"),
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
    summary="Deploy an estimator, or registered models with a scoring script; again, it changes only what differs.\n"
    "Interrupting takes it back: a new endpoint goes away, a changed one is again what it was; --no-wait leaves it.",
    options=DEPLOYMENT_OPTIONS,
    wizard="deploy:wizard",
    body="YAML: options by their names, one a line; or the whole specification of an endpoint",
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
            'JSON, a variable or expression, or @file; tables and arrays are sent as {"data": rows}',
            metavar="DATA",
            positional=True,
            completes="variable",
        ),
        Option("output", "keep the answer in this variable instead of showing it", short="-o", metavar="VAR"),
        JSON,
    ),
    example='%invoke diabetes {"data": [[0.04, 0.05, 0.06]]}\n%invoke diabetes X_test[:2] -o predictions\n'
    "%invoke diabetes:version-b X_test[:2]\n"
    '%%invoke diabetes\n{"data": [[0.04, 0.05, 0.06]]}',
    body="the data, as JSON",
    interrupted="The request was given up.",
    run="invoke:run",
)


LOGS = Magic(
    name="logs",
    summary="Show the last lines that an endpoint's replicas wrote, or the log of its image's build.",
    options=(
        ENDPOINT_VERSION,
        Option("lines", "how many lines", kind="integer", short="-n", metavar="N", default=100, minimum=1),
        Option(
            "follow",
            "go on with what is written from now on: a live panel in a notebook, else until interrupted",
            kind="flag",
            short="-f",
        ),
        Option("startup", "what the newest replica wrote while it started", kind="flag"),
        Option("build", "how its image was built", kind="flag"),
        Option("since", "only lines of this time until now", kind="duration", metavar="TIME", minimum=1),
        Option("level", "only lines of this level and above", metavar="LEVEL", choices=LEVELS),
        Option("grep", "only lines in which this regular expression is found", metavar="PATTERN"),
        JSON,
        OUTPUT,
    ),
    example="%logs diabetes -n 20\n%logs diabetes:version-b --since 5m --level warning\n%logs diabetes -f --grep Error",
    run="logs:run",
)


MONITOR = Magic(
    name="monitor",
    summary="Show requests, errors, latencies and replicas of endpoints, version by version.",
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
        Option("window", "how far to look back", kind="duration", metavar="TIME", default="5m", minimum=1),
        Option("every", "how often to look", kind="duration", metavar="TIME", default="2s", minimum=0.5),
        Option("once", "show one table and end", kind="flag"),
        Option("text", "no panel: print tables until interrupted, as in a terminal", kind="flag"),
        Option("output", "keep what was measured in this variable, a tidy DataFrame", short="-o", metavar="VAR"),
        JSON,
    ),
    example="%monitor diabetes\n%monitor diabetes iris --once\n%monitor diabetes --window 1h -o df",
    run="monitor:run",
)


ENDPOINTS = Magic(
    name="endpoints",
    summary="List the endpoints of the workspace with their state.",
    options=(Option("uris", "show scoring URIs as well", kind="flag"), JSON, OUTPUT),
    example="%endpoints\n%endpoints --json",
    run="endpoints:run",
)


MODELS = Magic(
    name="models",
    summary="List the registered models with versions, tags, and the endpoints that use them.",
    options=(
        Option(
            "name",
            "only this model, one row for each version",
            metavar="NAME[:VERSION]",
            positional=True,
            completes="model",
        ),
        JSON,
        OUTPUT,
    ),
    example="%models\n%models diabetes-ridge\n%models diabetes-ridge --json",
    run="models:run",
)


COMPUTE = Magic(
    name="compute",
    summary="List the compute targets, and say of each whether it can be used now, or why not.",
    options=(JSON, OUTPUT),
    example="%compute\n%deploy diabetes ridge --to docker",
    run="compute:run",
)


TRAFFIC = Magic(
    name="traffic",
    summary="Show how requests are divided between the versions of an endpoint, or change the division.",
    options=(
        ENDPOINT_NAME,
        Option(
            "shares",
            "share of each version; a version that is not named gets none, and the rest goes to the default version",
            metavar="VERSION=PERCENT",
            positional=True,
            completes="share",
            repeatable=True,
        ),
        Option(
            "mirror",
            "copy this share of the requests to a version and throw its answers away",
            metavar="VERSION=PERCENT",
            completes="share",
            repeatable=True,
        ),
        Option(
            "sticky-header",
            "requests with the same value of this header meet the same version; none turns it off",
            metavar="HEADER",
        ),
        Option(
            "promote", "make this version the default and give it all requests", metavar="VERSION", completes="version"
        ),
        Option("rollback", "go back to what the endpoint was before its last change", kind="flag"),
        Option("over", "move the requests in even steps over this time", kind="duration", metavar="TIME"),
        Option("step", "points of a step with --over; else 10", kind="integer", metavar="PERCENT", minimum=1),
        GUARD,
        DRY_RUN,
        CODE,
        Option("wizard", "a form with sliders that always make 100", kind="flag"),
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
    summary="Show how many replicas the versions of an endpoint have and why, or change it.",
    options=(
        ENDPOINT_NAME,
        Option(
            "size",
            "a fixed number of replicas, or bounds for one that follows the load",
            "text",
            "N|MIN:MAX",
            positional=True,
        ),
        Option("version", "the version; else the default version", metavar="VERSION", completes="version"),
        Option("replicas", "a fixed number of replicas", "integer", "N", minimum=1),
        Option("min", "least replicas; with 0 the last one ends when there are no requests", "integer", "N", minimum=0),
        Option("max", "most replicas", "integer", "N", minimum=1),
        Option(
            "target-utilization",
            "which part of the replicas should be busy, in percent",
            "integer",
            "PERCENT",
            minimum=1,
        ),
        Option("refresh", "a change of the load is answered within this time", "duration", "TIME", minimum=1),
        Option("down-after", "fewer replicas after this time with less load", "duration", "TIME", minimum=1),
        Option("zero-after", "none after this time without a request, with --min 0", "duration", "TIME", minimum=1),
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
    interrupted="A rollout goes on by itself: %rollout NAME shows it, %rollout NAME --abort ends it.",
    summary="Give a version of an endpoint more and more of its requests, or show how far that is.",
    options=(
        ENDPOINT_NAME,
        Option(
            "version",
            "the version; without it, the rollout is shown",
            metavar="VERSION",
            positional=True,
            completes="version",
        ),
        Option("steps", "its shares in percent, rising", metavar="PERCENT,...", default="5,25,100"),
        Option("every", "how long a step takes at least", kind="duration", metavar="TIME", default="1m"),
        GUARD,
        Option(
            "least-requests", "requests that a condition needs to be judged", kind="integer", metavar="N", minimum=1
        ),
        Option("promote", "make it the default version in the end", kind="flag"),
        Option("wait", "wait for the end and print a line for each step", kind="flag"),
        Option("pause", "hold the rollout in its step; the guard stays in force", kind="flag"),
        Option("resume", "go on with a paused rollout; its step begins again", kind="flag"),
        Option("abort", "end the rollout; requests are divided as before it", kind="flag"),
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
    summary="Go back to what an endpoint was before its last change; a second time takes the first one back.",
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
    summary="Show who changed an endpoint, when, and what; the newest change first.",
    options=(ENDPOINT_NAME, JSON, OUTPUT),
    example="%mlj history diabetes",
    run="rollback:run_history",
)


UNDEPLOY = Magic(
    name="undeploy",
    summary="Delete an endpoint: its replicas, its route and its keys; or one of its versions. Registered models stay.",
    options=(ENDPOINT_VERSION, DRY_RUN, CODE, JSON, QUIET),
    interrupted="What was begun is carried out: see %endpoints.",
    example="%undeploy diabetes --dry-run\n%undeploy diabetes:version-b\n%undeploy diabetes",
    run="undeploy:run",
)


REGISTER = Magic(
    name="register",
    summary="Register a file or a directory as the next version of a model; with nothing behind it, ask for it.",
    options=(
        Option("path", "the file or directory", metavar="PATH", positional=True, required=True),
        Option("model", "the model's name", metavar="NAME", positional=True, required=True, completes="model"),
        Option("framework", "what made it", metavar="FRAMEWORK", choices=FRAMEWORKS),
        Option("tag", "to find it again", metavar="KEY=VALUE", repeatable=True),
        Option("description", "free text", metavar="TEXT"),
        JSON,
        OUTPUT,
    ),
    wizard="register_model:wizard",
    example="%mlj register model.pkl diabetes-ridge --framework ScikitLearn --tag area=demo\n%mlj register",
    run="register_model:run",
)


COMPARE = Magic(
    name="compare",
    summary="Show the versions of an endpoint beside each other: control first, then treatments.",
    options=(
        ENDPOINT_NAME,
        Option("live", "a panel that goes on measuring", kind="flag"),
        Option("wizard", "a form that promotes one of them", kind="flag"),
    ),
    wizard="compare:wizard",
    example="%mlj compare diabetes\n%mlj compare diabetes --live\n%mlj compare",
    run="compare:run",
)


ATTACH = Magic(
    name="attach",
    summary="Let containers run on this Docker engine; with nothing behind it, show the compute targets.",
    options=(Option("address", "the engine", metavar="ADDRESS", positional=True, required=True),),
    wizard="attach:wizard",
    example="%mlj attach ssh://user@host\n%mlj attach unix:///var/run/docker.sock\n%mlj attach",
    run="attach:run",
)


DOCTOR = Magic(
    name="doctor",
    summary="Check Python, router, workspace, controller, sockets, ports and optional parts.",
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
        Option("create", "create it when it does not exist", kind="flag"),
        Option("output", "keep the Workspace in this variable", short="-o", metavar="VAR"),
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

LONG = tuple(replace(magic, prefix="mlj ") for magic in (HISTORY, REGISTER, COMPARE, ATTACH, DOCTOR, WORKSPACE))
"""Magics that are found below ``%mlj`` alone."""

UMBRELLA = Magic(
    name="mlj",
    summary="All of mljupyter's magics under one name: %mlj deploy is %deploy, and so on.",
    options=(),
    example="%mlj doctor\n%mlj workspace\n%mlj deploy diabetes --model diabetes-ridge --score ridge-score",
    subcommands=(*SHORT, *LONG),
)
