"""String-to-string mappings in documents: tags, properties, environment variables; with size limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

MOST_TEXTS = 1000
MOST_TEXT_CHARACTERS = 1_000_000
MOST_VARIABLE_BYTES = 128 * 1024 - 1
"""The largest NAME=VALUE that Linux accepts at the start of a process."""

MOST_VARIABLES_BYTES = 1024 * 1024
"""Half of Linux's limit at the usual stack size: the scoring server adds its own variables."""


def _checked_texts(texts: dict[str, str]) -> dict[str, str]:
    size = sum(len(key) + len(value) for key, value in texts.items())
    if size > MOST_TEXT_CHARACTERS:
        raise ValueError(f"it has {size:,} characters in total; at most {MOST_TEXT_CHARACTERS:,} are kept")
    return texts


def _checked_variables(variables: dict[str, str]) -> dict[str, str]:
    # A value may be a secret, so no message shows it.
    total = 0
    for name, value in variables.items():
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"{name[:100]!r} cannot name an environment variable: it is not empty, without '=' or NUL")
        if "\0" in value:
            raise ValueError(f"the value of {name[:100]!r} holds the character NUL, which no process can be given")
        size = len(name.encode()) + len(value.encode()) + 1
        if size > MOST_VARIABLE_BYTES:
            raise ValueError(
                f"{name[:100]!r} has {size:,} bytes; a process is given at most {MOST_VARIABLE_BYTES:,}. "
                "Put large values into a file of the source directory"
            )
        total += size
    if total > MOST_VARIABLES_BYTES:
        raise ValueError(f"they have {total:,} bytes in total; a replica is given at most {MOST_VARIABLES_BYTES:,}")
    return variables


Texts = Annotated[dict[str, str], Field(max_length=MOST_TEXTS), AfterValidator(_checked_texts)]
Variables = Annotated[dict[str, str], Field(max_length=MOST_TEXTS, repr=False), AfterValidator(_checked_variables)]
