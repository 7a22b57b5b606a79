"""Conditions on the columns of a tabular dataset, for `TabularDataset.filter`.

Azure: the expressions of azureml.dataprep.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from mljupyter.exceptions import UserErrorException


class Expression:
    """A column of a dataset, or a condition on its columns.

    Columns are compared with values and with columns; conditions are joined by ``&`` and ``|`` and turned by ``~``.

    Example:
        >>> (Expression.column("age") > 30) & ~Expression.column("name").is_null()
        Expression((age > 30) & ~(isNull name))

    """

    __hash__ = None  # type: ignore[assignment]  # `==` makes a condition

    def __init__(self, document: Any) -> None:
        self.document = document

    @classmethod
    def column(cls, name: str) -> Expression:
        """Return the values of a column."""
        return cls({"column": str(name)})

    def is_null(self) -> Expression:
        """Return the condition that a value is missing."""
        return Expression({"operator": "isNull", "left": self.document})

    def _with(self, sign: str, other: Any) -> Expression:
        return Expression({"operator": sign, "left": self.document, "right": _document(other)})

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return self._with("==", other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        return self._with("!=", other)

    def __lt__(self, other: Any) -> Expression:
        return self._with("<", other)

    def __le__(self, other: Any) -> Expression:
        return self._with("<=", other)

    def __gt__(self, other: Any) -> Expression:
        return self._with(">", other)

    def __ge__(self, other: Any) -> Expression:
        return self._with(">=", other)

    def __and__(self, other: Any) -> Expression:
        return self._with("&", other)

    def __or__(self, other: Any) -> Expression:
        return self._with("|", other)

    def __invert__(self) -> Expression:
        return Expression({"operator": "~", "left": self.document})

    def __bool__(self) -> bool:
        raise UserErrorException(
            "A condition on columns has no value of its own: join conditions by & and |, each in parentheses."
        )

    def __repr__(self) -> str:
        return f"Expression({_text(self.document)})"


def _document(value: Any) -> Any:
    if isinstance(value, Expression):
        return value.document
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if callable(item := getattr(value, "item", None)):
        return _document(item())
    raise UserErrorException(
        f"A filter compares with a number, a text, a time or a column, not {type(value).__name__}."
    )


def _text(document: Any) -> str:
    if not isinstance(document, dict):
        return repr(document)
    if "column" in document:
        return str(document["column"])
    sign, left = document["operator"], _text(document["left"])
    if "right" not in document:
        return f"{sign}{'' if sign == '~' else ' '}{left if sign != '~' else f'({left})'}"
    sides = (document["left"], document["right"])
    texts = [f"({_text(side)})" if isinstance(side, dict) and "right" in side else _text(side) for side in sides]
    return f"{texts[0]} {sign} {texts[1]}"
