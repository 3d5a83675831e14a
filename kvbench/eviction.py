"""Stores that evict keys when they are full, and the warning for their owners.

kvbench changes only keys under its prefix. A store that evicts is different: when it is full,
storing a key removes another one, possibly of another user. The adapter of such a store declares it
with a fact in ``describe()``; commands that write to it show a warning.
"""

from __future__ import annotations

from collections.abc import Mapping

FACT = "eviction"
"""The fact's name. Its value is the rule and the limit, e.g. ``allkeys-lru at 100 MiB``; a store
that never evicts does not have the fact."""

_MIB = 1 << 20


def rule_at(rule: str, limit_bytes: int | None) -> str:
    """The fact's value: how keys are selected, and the memory limit; None if unknown."""
    limit = "an unknown limit" if limit_bytes is None else f"{limit_bytes / _MIB:.4g} MiB"
    return f"{rule} at {limit}"


def warning(name: str, facts: Mapping[str, str], needed_bytes: int | None = None) -> str:
    """The risk and what to do about it, in two sentences; empty if nothing is evicted.

    Args:
        name: of the target, without a password.
        facts: the open store's description of itself.
        needed_bytes: how much will be stored at once, if known.
    """
    rule = facts.get(FACT)
    if rule is None:
        return ""
    memory = "memory" if needed_bytes is None else f"{-(-needed_bytes // _MIB):,} MiB of memory"
    return (
        f"{name} evicts keys when it is full ({rule}): keys of others can be lost. "
        f"See that it has {memory} to spare, or use another instance"
    )
