"""Pages that attach a Kubernetes cluster: which one and how, its checks, the manifests, and the progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mljupyter.core.compute import cluster
from mljupyter.errors import MLJupyterError, said_of
from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes.objects.publishing import HTTP_ROUTE, INGRESS, KINDS, Publishing, rule_broken
from mljupyter.notebook.code import script_of
from mljupyter.notebook.options.attach_options import ATTACH_OPTIONS
from mljupyter.notebook.options.command_line import line_of, values_of
from mljupyter.notebook.session import Session
from mljupyter.notebook.sources.expressions import unexpanded
from mljupyter.targets.base import Finding
from mljupyter.targets.kubernetes.attached import attached_clusters, check_name, check_namespace
from mljupyter.targets.kubernetes.attachment import ClusterSettings, publishing_of, replica_defaults
from mljupyter.targets.kubernetes.cluster import NoKubeconfigError, access_to, contexts_of
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Choice, Field
from mljupyter.widgets.pages.attach_job import AttachRun
from mljupyter.widgets.pages.endpoint_pages import Action
from mljupyter.widgets.wizard import Page

OPTIONS = {option.key: option for option in ATTACH_OPTIONS}
_BUILT_IN = ("local", "docker")
_LOAD_BALANCER = "LoadBalancer"
_PURPOSES = {
    "FastProd": ("FastProd", "For production: two operators, three routers on different nodes. Needs 12 vCPU."),
    "DevTest": ("DevTest", "For trying out: one operator, one router. 2 vCPU are enough."),
}
_SERVICES = {
    "ClusterIP": (
        "inside the cluster (ClusterIP)",
        "From this notebook through a port-forward, which opens by itself.",
    ),
    "NodePort": ("a port of each node (NodePort)", "For clients that reach the nodes."),
    _LOAD_BALANCER: ("a load balancer (LoadBalancer)", "For clients outside. The cluster must be able to provide one."),
    INGRESS: ("a host or a path of an Ingress controller (Ingress)", "For clients outside, with TLS of the Ingress."),
    HTTP_ROUTE: ("a Gateway of the cluster (HTTPRoute)", "For clients outside, where the Gateway API is installed."),
}
_PUBLISHING = {
    "ingress_class": (INGRESS, "Ingress class", "Empty for the default one of the cluster.", "nginx"),
    "gateway": (HTTP_ROUTE, "Gateway", "As NAMESPACE/NAME.", "infra/public"),
    "gateway_section": (HTTP_ROUTE, "Listener", "One listener of the Gateway; empty for all that fit.", "https"),
    "scoring_host": ("", "Host", "The host name of scoring URIs; empty for any.", "scoring.example.org"),
    "scoring_path": ("", "Path", "The beginning of the paths of scoring URIs; empty for none.", "/ml"),
    "tls_secret": (
        INGRESS,
        "Secret with the certificate",
        "Of this host. Empty without TLS.",
        "ml-tls",
    ),
}
"""The fields for an Ingress or an HTTPRoute: for which of both, label, explanation, and an example."""
_WAYS = {
    "ClusterIP": "inside the cluster; from this notebook through a port-forward, which opens by itself",
    "NodePort": "a port of each node",
    _LOAD_BALANCER: "the load balancer of the cluster",
    INGRESS: "the Ingress controller of the cluster",
    HTTP_ROUTE: "the Gateway of the cluster",
}


@dataclass
class ClusterDraft:
    """The input of the form.

    Parameters:
        session: has the workspace.
        typed: the input, by option of ``%mlj attach``.

    """

    session: Session
    typed: dict[str, Any] = field(default_factory=dict)

    def value(self, key: str) -> str:
        """Return the input for an option, or its default."""
        default = OPTIONS[key].default
        return str(self.typed.get(key) or ("" if default is None else default)).strip()

    @property
    def name(self) -> str:
        """The name of the compute target."""
        return self.value("address")

    @property
    def is_internal(self) -> bool:
        """Whether the load balancer is to be internal."""
        return bool(self.typed.get("internal")) and self.value("service_type") == _LOAD_BALANCER

    def effective(self) -> dict[str, Any]:
        """Return the input without what does not apply to the chosen service."""
        left_out = set() if self.is_internal else {"internal", "subnet"}
        left_out |= _PUBLISHING.keys() - self.asked
        return {key: value for key, value in self.typed.items() if key not in left_out}

    @property
    def asked(self) -> list[str]:
        """The settings of an Ingress or an HTTPRoute that the chosen service has."""
        service = self.value("service_type")
        return [key for key, (of, *_) in _PUBLISHING.items() if service in KINDS and of in ("", service)]

    def publishing(self) -> Publishing:
        """Return the settings of the Ingress or the HTTPRoute."""
        return publishing_of(**{key: self.value(key) for key in self.asked})

    def settings(self) -> ClusterSettings:
        """Return the settings.

        Raises:
            ComputeTargetException: they break a rule.

        """
        return ClusterSettings(
            self.value("kubeconfig") or None,
            self.value("context") or None,
            self.value("namespace"),
            purpose=self.value("purpose"),
            service_type=self.value("service_type"),
            internal=self.is_internal,
            subnet=(self.value("subnet") or None) if self.is_internal else None,
            publishing=self.publishing(),
            replicas=replica_defaults(collected_data_claim=self.value("collected_data_claim") or None),
            endpoint_namespaces=tuple(self.typed.get("endpoint_namespace") or ()),
        )

    @property
    def line(self) -> str:
        """The equivalent line of ``%mlj attach``."""
        typed = {key: unexpanded(text) if isinstance(text, str) else text for key, text in self.effective().items()}
        return line_of("mlj attach", ATTACH_OPTIONS, typed)

    @property
    def code(self) -> str:
        """The equivalent Python code."""
        settings = self.settings()
        given = {
            "kubeconfig": settings.kubeconfig,
            "context": settings.context,
            "namespace": settings.namespace,
            "cluster_purpose": settings.purpose,
            "service_type": settings.service_type,
            "internal_load_balancer": settings.internal or None,
            "load_balancer_subnet": settings.subnet,
            **settings.publishing.document(),
            "collected_data_claim": settings.replicas.collected_data_claim,
            "endpoint_namespaces": list(settings.endpoint_namespaces) or None,
        }
        arguments = ", ".join(f"{key}={value!r}" for key, value in given.items() if value is not None)
        return script_of(
            self.session.workspace(),
            [
                f"configuration = KubernetesCompute.attach_configuration({arguments})",
                f"target = ComputeTarget.attach(ws, {self.name!r}, configuration)",
                "target.wait_for_completion(show_output=True)",
            ],
        )


class ClusterPage(Page):
    """Page for the cluster: kubeconfig, context, names, purpose, and the way to its endpoints."""

    name = "Cluster"
    heading = "Which cluster?"
    about = "Nothing is changed before you attach it on the last page."
    next_label = "Check it"

    def __init__(self, draft: ClusterDraft) -> None:
        self.draft = draft
        self._contexts: list[str] = []
        self._current: str | None = None
        self._problem = ""
        self._others = ""

    def enter(self) -> None:
        """Read the contexts."""
        self._read()

    def fields(self) -> list[Field]:
        """Return the fields; those of an internal load balancer only with a load balancer."""
        draft = self.draft
        found = [
            fields.text(
                "kubeconfig",
                "Kubeconfig",
                draft.typed.get("kubeconfig"),
                about="The file with the address of the cluster and your login.",
                placeholder="$KUBECONFIG, then ~/.kube/config",
            ),
            fields.choice(
                "context",
                "Context",
                draft.value("context"),
                [Choice(name, f"{name} (current)" if name == self._current else name) for name in self._contexts],
                about="The cluster and the user in this file.",
            ),
            fields.text("address", "Name", draft.typed.get("address"), about=self._about_name(), required=True),
            fields.text(
                "namespace",
                "Namespace",
                draft.typed.get("namespace", draft.value("namespace")),
                about="For operator, routers and endpoints. It is created if it does not exist.",
                required=True,
            ),
            fields.text(
                "endpoint_namespace",
                "Endpoints may also run in",
                self._others,
                about="Further namespaces, which must exist, with spaces between them; empty for none.",
                placeholder="team-a team-b",
            ),
            fields.cards("purpose", "Purpose", draft.value("purpose"), _choices(_PURPOSES)),
            fields.cards("service_type", "Endpoints are reached at", draft.value("service_type"), _choices(_SERVICES)),
        ]
        if draft.value("service_type") == _LOAD_BALANCER:
            about = "It is reached only from the network of the cluster."
            found.append(fields.check("internal", "Internal load balancer", draft.is_internal, about=about))
        if draft.is_internal:
            about = "In Azure; empty for the subnet of the nodes."
            found.append(fields.text("subnet", "Subnet", draft.typed.get("subnet"), about=about, placeholder="apps"))
        for key in draft.asked:
            _, label, about, example = _PUBLISHING[key]
            found.append(fields.text(key, label, draft.typed.get(key), about=about, placeholder=example))
        found.append(
            fields.text(
                "collected_data_claim",
                "Claim for collected data",
                draft.typed.get("collected_data_claim"),
                about="A PersistentVolumeClaim in the namespace. Without one, collected data ends with its pod.",
            )
        )
        return found

    def change(self, key: str, value: Any) -> None:
        """Store the input; another kubeconfig has other contexts."""
        if key == "endpoint_namespace":
            self._others = str(value)
            self.draft.typed[key] = self._others.replace(",", " ").split()
            return
        self.draft.typed[key] = bool(value) if key == "internal" else str(value)
        if key == "kubeconfig":
            self.draft.typed.pop("context", None)
            self._read()

    def errors(self) -> dict[str, str]:
        """Return the rule that a value breaks, by field."""
        draft = self.draft
        found = {}
        if self._problem:
            found["kubeconfig"] = self._problem
        elif (context := draft.value("context")) not in self._contexts:
            found["context"] = f"There is no context {context!r}: choose one." if context else "Choose one."
        if not draft.name:
            found["address"] = "Under which name? For example: team"
        elif draft.name in _BUILT_IN:
            found["address"] = f"{draft.name!r} is a compute target of every workspace: choose another name."
        elif problem := _rule(check_name, draft.name):
            found["address"] = problem
        if problem := _rule(check_namespace, str(draft.typed.get("namespace", draft.value("namespace"))).strip()):
            found["namespace"] = problem
        others = map(str, draft.typed.get("endpoint_namespace") or ())
        if problem := next(filter(None, (_rule(check_namespace, one) for one in others)), ""):
            found["endpoint_namespace"] = problem
        if draft.asked and (broken := rule_broken(draft.publishing(), draft.value("service_type"))):
            key = next((key for key in draft.asked if key in broken), "service_type")
            found[key] = _sentence(broken)
        if problem := _rule(_check_claim, draft.value("collected_data_claim")):
            found["collected_data_claim"] = problem
        texts = {key: text for key, text in values_of(ATTACH_OPTIONS, draft.effective())[1].items() if key in OPTIONS}
        return found | {key: text for key, text in texts.items() if key not in found}

    def _read(self) -> None:
        self._problem = ""
        try:
            _, self._contexts, self._current = contexts_of(self.draft.value("kubeconfig") or None)
        except NoKubeconfigError as error:
            self._contexts, self._current = [], None
            self._problem = f"{_sentence(error.message.partition(chr(10))[0])} Give the path of one."
        except MLJupyterError as error:
            self._contexts, self._current = [], None
            self._problem = _sentence(error.message)
        if self._current is not None:  # the line is to mean this cluster also when another context is current
            self.draft.typed.setdefault("context", self._current)

    def _about_name(self) -> str:
        workspace = self.draft.session.existing()
        known = set() if workspace is None else {one.name for one in attached_clusters(workspace.directory)}
        if self.draft.name in known:
            return f"{self.draft.name!r} is attached already: it will be repaired, upgraded or changed."
        return "Its name as a compute target: 2 to 16 letters, digits and '-'."


class CheckPage(Page):
    """Page with the findings of the pre-flight checks, each with its remedy."""

    name = "Check"
    heading = "Can it be attached?"
    about = "The checks leave nothing in the cluster. What fails has its remedy below."
    next_label = "Continue"

    def __init__(self, draft: ClusterDraft) -> None:
        self.draft = draft
        self._action = Action(lambda: self.refresh())
        self._findings: Sequence[Finding] = ()

    def enter(self) -> None:
        """Start the checks."""
        self._look()

    def fields(self) -> list[Field]:
        """Return a line for each finding, and the remedies."""
        if self._action.state in ("", "running"):
            return [
                fields.stages("findings", "Checks", [(self.draft.name, "running", "the cluster is being checked …")])
            ]
        if self._action.problem:
            return [fields.code("problem", "Problems to fix", self._action.problem)]
        rows = [(one.name, one.state, one.text) for one in self._findings]
        found = [fields.stages("findings", "Checks", rows)]
        remedies = [(one.name, one.fix) for one in self._findings if one.fix and "\n" not in one.fix]
        if remedies:
            found.append(fields.summary("remedies", "What to do", remedies))
        for one in self._findings:
            head, newline, rest = one.fix.partition("\n")
            if newline:  # for copying, such as a Role
                found.append(fields.code(f"remedy-{one.name}", f"{one.name}: {head.rstrip(':')}", rest))
        return found

    def blocked(self) -> str:
        """Return that the checks are running, or that one has failed."""
        if self._action.state in ("", "running"):
            return "The checks are running."
        if self._action.problem or any(one.state == "failed" for one in self._findings):
            return "Correct what has failed, then check again; or go back and choose another cluster."
        return ""

    def buttons(self) -> list[dict[str, Any]]:
        """Return the button that repeats the checks."""
        reason = "The checks are running." if self._action.state == "running" else ""
        return [{"key": "check", "label": "Check again", "reason": reason}]

    def press(self, button: str) -> None:
        """Check again."""
        self._look()

    def _look(self) -> None:
        # An earlier check, of another cluster, may still be running: its findings go nowhere.
        workspace, name, settings = self.draft.session.workspace(), self.draft.name, self.draft.settings()
        found: list[Finding] = []
        self._findings, self._action = found, Action(lambda: self.refresh())
        self._action.start(lambda: found.extend(cluster.findings(workspace, name, settings)))


class ClusterReviewPage(Page):
    """Page with the line, the Python code and the manifests, before anything is done."""

    name = "Review"
    heading = "Is this what you want?"
    about = "Nothing has been done so far. The line below does the same in every notebook: insert it, and keep it."
    next_label = "Attach now"

    def __init__(self, draft: ClusterDraft) -> None:
        self.draft = draft
        self._problem = ""
        self._manifests = ""

    def enter(self) -> None:
        """Make the manifests."""
        self._problem = self._manifests = ""
        draft = self.draft
        try:
            self._manifests = cluster.manifests_text(draft.session.workspace(), draft.name, draft.settings())
        except MLJupyterError as error:
            self._problem = said_of(error)

    def fields(self) -> list[Field]:
        """Return summary, line, Python code and manifests."""
        draft = self.draft
        settings = draft.settings()
        rows = [
            ("Name", draft.name),
            ("Cluster", _cluster(settings)),
            ("Namespace", settings.namespace),
            *(
                [("For endpoints also", ", ".join(settings.endpoint_namespaces))]
                if settings.endpoint_namespaces
                else []
            ),
            ("Purpose", ": ".join(_PURPOSES[settings.purpose])),
            ("Endpoints are reached at", _way(settings)),
            ("Collected data", _claim(settings)),
        ]
        found = [
            fields.summary("plan", "A cluster is attached", rows),
            fields.code("line", "Equivalent magic", draft.line),
            fields.code("python", "Equivalent Python code", draft.code, folded=True),
        ]
        if self._problem:
            return [fields.code("problem", "Problems to fix", self._problem), *found]
        count = self._manifests.count("\nkind: ") + self._manifests.startswith("kind: ")
        label = f"The {count} objects that are applied, without Secrets"
        return [*found, fields.code("manifests", label, self._manifests, folded=True)]

    def blocked(self) -> str:
        """Return the reason why it is not possible."""
        return "Go back and correct the problem." if self._problem else ""

    def buttons(self) -> list[dict[str, Any]]:
        """Return the button that inserts the line."""
        return [{"key": "insert", "label": "Insert the line below", "inserts": [self.draft.line]}]


class AttachProgressPage(Page):
    """Page with the progress of the attachment, and its result."""

    name = "Progress"
    next_label = ""
    starts = True

    def __init__(self, draft: ClusterDraft) -> None:
        self.draft = draft
        self.run: AttachRun | None = None

    @property
    def heading(self) -> str:  # type: ignore[override]
        """The state of the attachment."""
        headings = {
            "": "The cluster is being attached",
            "succeeded": "It is attached",
            "failed": "It could not be attached",
            "cancelled": "Cancelled",
        }
        return headings[self.run.outcome if self.run is not None else ""]

    @property
    def about(self) -> str:  # type: ignore[override]
        """The meaning of that state."""
        run = self.run
        if run is None:
            return ""
        if run.outcome == "succeeded":
            return "It is a compute target of this workspace now, in every notebook."
        if run.outcome == "cancelled":
            return f"{run.problem} Back keeps your input."
        if run.outcome == "failed":
            return "Back keeps your input: correct it, and attach again."
        return "It continues when you close the page of this notebook, as long as the kernel runs."

    def enter(self) -> None:
        """Start to attach on a thread of its own."""
        draft = self.draft
        self.run = AttachRun(draft.session.workspace(), draft.name, draft.settings(), self._changed)
        self.run.start()

    def fields(self) -> list[Field]:
        """Return the state, the error, the result, and the lines of progress."""
        run = self.run
        if run is None:
            return []
        state = {"": "running", "succeeded": "ok", "failed": "failed", "cancelled": "cancelled"}[run.outcome]
        last = run.lines[-1] if run.lines and not run.outcome else ""
        found = [fields.stages("stages", "Progress", [(f"attach {run.name}", state, last)])]
        if run.outcome == "failed":
            found.append(fields.code("problem", "What went wrong", run.problem))
        if run.outcome == "succeeded" and run.address is not None:
            place, kind = run.address
            rows = [
                ("Compute target", run.name),
                ("Namespace", self.draft.value("namespace")),
                ("Scoring URI", f"{place}/api/v1/service/NAME/score"),
                ("Reached", _WAYS.get(kind, kind)),
            ]
            found.append(fields.summary("result", "Result", rows))
            found.append(fields.code("use", "Use it", self._use(run)))
        found.append(fields.log("log", "Lines of progress", list(run.lines)))
        return found

    def moving(self) -> bool:
        """Whether it is being attached; then Cancel replaces Back."""
        return self.run is not None and not self.run.outcome

    def buttons(self) -> list[dict[str, Any]]:
        """Return the button that cancels it, or afterwards the one that inserts a deployment."""
        run = self.run
        if run is None:
            return []
        if not run.outcome:
            reason = "It is being stopped: what is installed so far is removed." if run.cancelling else ""
            return [{"key": "cancel", "label": "Cancel", "reason": reason}]
        if run.outcome == "succeeded":
            return [{"key": "insert", "label": "Insert a deployment below", "inserts": self._cells(run)}]
        return []

    def press(self, button: str) -> None:
        """Cancel it."""
        if button == "cancel" and self.run is not None:
            self.run.cancel()

    def _changed(self) -> None:
        if self.run is not None and self.run.outcome:
            self.draft.session.cache.refresh_soon()
        self.refresh()

    def _use(self, run: AttachRun) -> str:
        return f"%deploy NAME --model MODEL --score SCRIPT --to {run.name}"

    def _cells(self, run: AttachRun) -> list[str]:
        """Return the cells of the attachment and of a deployment: the notebook must run from the top elsewhere."""
        example = f"# Replace NAME, MODEL and SCRIPT, then remove the marks.\n# {self._use(run)}"
        return [self.draft.line, example]


def cluster_pages(session: Session) -> list[Page]:
    """Return the pages that attach a cluster, in order."""
    draft = ClusterDraft(session)
    return [ClusterPage(draft), CheckPage(draft), ClusterReviewPage(draft), AttachProgressPage(draft)]


def _choices(texts: dict[str, tuple[str, str]]) -> list[Choice]:
    return [Choice(key, label, about) for key, (label, about) in texts.items()]


def _cluster(settings: ClusterSettings) -> str:
    try:
        return _sentence(str(access_to(settings.kubeconfig, settings.context)))
    except MLJupyterError as error:  # the kubeconfig has gone in the meantime
        return error.message.partition("\n")[0]


def _way(settings: ClusterSettings) -> str:
    way = _WAYS[settings.service_type]
    if settings.publishing.scoring_host is not None:
        way = f"{way}, as {settings.publishing.scoring_host}"
    if not settings.internal:
        return way
    return f"{way}, internal{f', in subnet {settings.subnet}' if settings.subnet else ''}"


def _claim(settings: ClusterSettings) -> str:
    claim = settings.replicas.collected_data_claim
    return f"kept in the claim {claim}" if claim is not None else "ends with its pod"


def _check_claim(name: str) -> None:
    replica_defaults(collected_data_claim=name or None)


def _rule(check: Callable[[str], None], value: str) -> str:
    """Return the rule that a value breaks, as a sentence; empty if it breaks none."""
    try:
        check(value)
    except ComputeTargetException as error:
        return _sentence(error.message)
    return ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
