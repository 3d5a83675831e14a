"""All mutants: importing an area registers those that are in it."""

from __future__ import annotations

from . import (  # noqa: F401
    batches,
    cas,
    codec,
    concurrency,
    connections,
    counters,
    extensions,
    framing,
    keys,
    lacking,
    locks,
    malformed,
    single,
    statuses,
    ttl,
    values,
)
from .parts import MUTANTS

__all__ = ["MUTANTS"]
