"""The rules for names, with messages that show the broken rule and an example (Azure ML v1: names)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mljupyter.spec.document import SpecError


@dataclass(frozen=True)
class NameRule:
    """A rule for the names of one kind of item: the kind with its article, the pattern, and the rule in words."""

    kind: str
    pattern: re.Pattern[str]
    text: str
    example: str

    def check(self, name: object) -> str:
        """Return the name, or raise `SpecError` with the name, the rule and an example."""
        if isinstance(name, str) and self.pattern.fullmatch(name):
            return name
        noun = self.kind.partition(" ")[2]
        raise SpecError(f"Invalid {noun} name {name!r:.100}. Use {self.text}. For example: {self.example!r}.")


IMAGE = NameRule(
    "an image",
    re.compile(r"(?=.{3,32}\Z)[a-z0-9]([-\.a-z0-9]*[a-z0-9])?"),
    "3 to 32 lower-case letters, digits, '-' and '.'; a letter or digit first and last",
    "diabetes-image",
)
_SERVICE = re.compile(r"(?=.{3,32}\Z)[a-z]([-a-z0-9]*[a-z0-9])?")
_SERVICE_TEXT = "3 to 32 lower-case letters, digits and '-'; a letter first, no '-' last"

MODEL = NameRule(
    "a model",
    re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-._]{0,254}"),
    "1 to 255 letters, digits, '-', '.' and '_'; a letter or digit first",
    "diabetes-ridge",
)
SERVICE = NameRule("a web service", _SERVICE, _SERVICE_TEXT, "diabetes")
ENDPOINT = NameRule("an endpoint", _SERVICE, _SERVICE_TEXT, "diabetes")
VERSION = NameRule(
    "an endpoint version",
    re.compile(r"(?=.{1,32}\Z)[a-z]([-a-z0-9]*[a-z0-9])?"),
    "1 to 32 lower-case letters, digits and '-'; a letter first, no '-' last",
    "v1",
)
AZURE_VERSION = NameRule("an endpoint version", _SERVICE, _SERVICE_TEXT, "version-a")
"""The rule of Azure ML v1, for notebooks that import the names of ``azureml``."""
WORKSPACE = NameRule(
    "a workspace",
    re.compile(r"[a-zA-Z0-9][\w\-]{2,32}", re.ASCII),
    "3 to 33 letters, digits, '-' and '_'; a letter or digit first",
    "churn-team",
)
COMPUTE = NameRule(
    "a compute target",
    re.compile(r"[a-zA-Z][a-zA-Z0-9\-]{2,23}"),
    "3 to 24 letters, digits and '-'; a letter first",
    "team-cluster",
)
