"""A bound on the time that a test spends on random examples: their number is whatever fits into it."""

from __future__ import annotations

import contextlib
import functools
import time
import unittest
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.errors import HypothesisException

F = TypeVar("F", bound=Callable[..., Any])
# Random, not derandomized, also where Hypothesis takes the machine for a CI: each run tries something else, and says
# its seed. What has failed is kept in .hypothesis, and tried first in the next run.
SETTINGS = settings(
    max_examples=1_000_000,
    deadline=None,
    derandomize=False,
    print_blob=True,
    database=DirectoryBasedExampleDatabase(".hypothesis/examples"),
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink],
)


class _TimeIsUpError(unittest.SkipTest):
    """Ends the search for examples: Hypothesis lets it through at once, as it does with skipped tests."""


class Budget:
    """The time of one test. `tried` counts its examples.

    Parameters:
        seconds: from the first example on.

    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.tried = 0
        self._deadline: float | None = None
        self._failed = False

    def look(self) -> None:
        """Count an example, and end the search if the time is up; once something was found, it is shrunk first."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self.seconds
        if not self._failed and time.monotonic() > self._deadline:
            raise _TimeIsUpError
        self.tried += 1

    def example(self, function: F) -> F:
        """Make a function one example of the search; it goes below `@given`."""

        @functools.wraps(function)
        def tried(*arguments: Any, **named: Any) -> Any:
            self.look()
            with self.failing():
                return function(*arguments, **named)

        return tried  # type: ignore[return-value]

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Note when something was found."""
        try:
            yield
        except HypothesisException:
            raise
        except Exception:
            self._failed = True
            raise

    def search(self, test: Callable[[], None]) -> None:
        """Run a test of Hypothesis until it fails or the time is up."""
        with contextlib.suppress(_TimeIsUpError):
            SETTINGS(test)() if hasattr(test, "hypothesis") else test()
        assert self.tried, "no example was tried"
