"""R settings of an environment; they are stored, and nothing here runs R.

Azure: RSection of azureml.core.environment.
"""

from __future__ import annotations

from typing import Any

from mljupyter.core.sections import Section
from mljupyter.spec.document import camel_case


class RSection(Section):
    """The version of R and its packages.

    Example:
        >>> section = RSection()
        >>> section.r_version = "3.6"
        >>> section.definition()["rVersion"]
        '3.6'

    """

    __slots__ = (
        "bioconductor_packages",
        "cran_packages",
        "custom_url_packages",
        "github_packages",
        "r_version",
        "rscript_path",
        "snapshot_date",
        "user_managed",
    )
    _defaults = {
        "r_version": None,
        "user_managed": False,
        "rscript_path": None,
        "snapshot_date": None,
        "cran_packages": None,
        "github_packages": None,
        "custom_url_packages": None,
        "bioconductor_packages": None,
    }

    def definition(self) -> dict[str, Any]:
        """Return the section as a document: JSON types."""
        return {camel_case(name): _plain(getattr(self, name)) for name in self._defaults}


def _plain(value: Any) -> Any:
    """Return a list of packages as JSON types; packages may be texts or objects with attributes."""
    if isinstance(value, (list, tuple)):
        return [one if isinstance(one, (str, dict)) else vars(one) for one in value]
    return value
