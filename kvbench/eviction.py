"""Stores that make room by removing keys, and what the owner of such a store must know.

kvbench touches no key but those under its own prefix. A store that evicts does: when it is full, a
key that is stored pushes out another one, whoever's that is. The adapter of such a store says so
with a fact in ``describe()``; whoever is about to write to it warns.
"""

from __future__ import annotations

from collections.abc import Mapping

FACT = "eviction"
"""The fact's name. Its value is the rule and the limit, e.g. ``allkeys-lru at 100 MiB``; a store
that never evicts does not have it."""

_MIB = 1 << 20


def rule_at(rule: str, limit_bytes: int | None) -> str:
    """The fact's value: how keys are chosen, and at which memory limit; None for an unknown one."""
    limit = "an unknown limit" if limit_bytes is None else f"{limit_bytes / _MIB:.4g} MiB"
    return f"{rule} at {limit}"


def warning(name: str, facts: Mapping[str, str], needed_bytes: int | None = None) -> str:
    """One sentence of what can happen and one of what to do; empty where nothing is evicted.

    Args:
        name: of the target, without a password.
        facts: what the open store says of itself.
        needed_bytes: what will be stored at once, where that is known.
    """
    rule = facts.get(FACT)
    if rule is None:
        return ""
    memory = "memory" if needed_bytes is None else f"{-(-needed_bytes // _MIB):,} MiB of memory"
    return (
        f"{name} evicts keys when it is full ({rule}): keys of others can be lost. "
        f"See that it has {memory} to spare, or use another instance"
    )
