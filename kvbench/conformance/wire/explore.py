"""Generated cases: many examples, and of those that fail the smallest.

Hypothesis draws the examples from the case's seed and shrinks the first that fails. Every example
runs in its own context (keys, connections, record of the conversation), so none depends on
what the others left behind, and the conversation that a failure shows is that of its example alone.

The same seed draws the same examples from the same code: nothing is remembered between runs (no
database), nothing depends on time but the end of the search. A target that is slow or silent would
stretch it without end, so drawing and shrinking have separate time limits, and the smallest example
so far counts.
"""

from __future__ import annotations

import atexit
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from typing import Generic, TypeVar

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy

from kvbench.conformance.findings import CaseFailed, SetupFailed, TargetLost
from kvbench.conformance.wire.context import WireContext
from kvbench.errors import KvError

DRAWING_S = 15.0
"""A case that takes longer stops drawing; on loopback it takes a second at most."""

SHRINKING_S = 10.0
"""A silent target costs a reply's timeout for each attempt: two or three must do then."""

_T = TypeVar("_T")


class Enough(BaseException):
    """Ends a search from within: a check raises it when it has seen what there was to see.

    No Exception: hypothesis would take that for a failing example.
    """


def explore(
    context: WireContext,
    strategy: SearchStrategy[_T],
    check: Callable[[WireContext, _T], None],
    *,
    examples: int,
) -> None:
    """Check examples until one fails; report the smallest that does.

    Args:
        context: the case's; its trace becomes that of the failing example.
        strategy: draws examples.
        check: looks at one, in its own context.
        examples: how many, times the context's effort.

    Raises:
        CaseFailed: an example fails; the text ends with the example.
        SetupFailed: an example could not be looked at.
    """
    _keep_directory_clean()
    search = _Search(context, check)

    def look(example: _T) -> None:
        search.look(example)

    options = settings(
        max_examples=examples * context.effort,
        phases=(Phase.generate, Phase.shrink),
        database=None,
        deadline=None,
        derandomize=False,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    test = seed(context.seed)(options(given(strategy)(look)))
    try:
        test()
    except (Enough, CaseFailed, Flaky):
        # Flaky: it does not fail each time. What was seen was seen, and is reported.
        if search.failure is None and search.hindrance is not None:
            raise search.hindrance from None
        if search.failure is None:
            return
        context.trace = search.shown.trace
        context.shown = search.shown
        raise search.failure from None


class _Search(Generic[_T]):
    """Looks at examples one by one, and keeps the last that failed: the smallest so far."""

    def __init__(self, context: WireContext, check: Callable[[WireContext, _T], None]) -> None:
        self._context = context
        self._check = check
        self._end = time.monotonic() + DRAWING_S * context.effort
        self.failure: CaseFailed | None = None
        self.hindrance: SetupFailed | None = None
        self.shown = context

    def look(self, example: _T) -> None:
        """Look at one example in its own context."""
        if time.monotonic() > self._end:
            raise Enough
        outer = self._context
        inner = WireContext(
            outer.host,
            outer.port,
            capabilities=outer.capabilities,
            seed=outer.seed,
            effort=outer.effort,
            reply_timeout_s=outer.reply_timeout_s,
            net_ttl_ms=outer.net_ttl_ms,
            on_silence=outer.note_silence,
        )
        try:
            with inner:
                self._check(inner, example)
            return
        except SetupFailed as error:
            # A smaller example would not be looked at, either.
            self.hindrance = error
            raise Enough from None
        except TargetLost as error:
            # No other example could be looked at.
            self.failure = error
            self.shown = inner
            raise Enough from None
        except CaseFailed as error:
            failed = error
        except (KvError, OSError) as error:
            failed = CaseFailed("an answer", f"{type(error).__name__}: {error}")
        if self.failure is None:
            self._end = time.monotonic() + SHRINKING_S
        self.failure = CaseFailed(
            failed.expected,
            f"{failed.actual}; with {_shown(example)}",
            seed=outer.run_seed,
            wanted=failed.wanted,
            clauses=failed.clauses,
        )
        self.shown = inner
        # From one place for all, so that to hypothesis they are one failure to be made smaller.
        raise self.failure


@cache
def _keep_directory_clean() -> None:
    """Have hypothesis keep its cache elsewhere than in the directory where the user happens to be.

    Under pytest the user may have tests with hypothesis: it stays as it is.
    """
    if "pytest" not in sys.modules:
        place = tempfile.TemporaryDirectory(prefix="kvbench-")
        atexit.register(place.cleanup)
        os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", place.name)


def _shown(example: object) -> str:
    text = ", ".join(map(str, example)) if isinstance(example, list) else repr(example)
    return text if len(text) <= 300 else f"{text[:300]}... ({len(text)} characters)"
