"""Checks the declarations of an adapter class before its code runs.

A first adapter often has wrong types, which Python notices late: a word instead of a BatchKind, a
name instead of a tuple, a missing method. This module checks the class before it is opened. The
conformance suite checks whether its declarations are true.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from kvbench.backend import BATCH_OPERATIONS, AsyncBackend, Backend
from kvbench.model import BatchKind, Capability


def declaration_problem(adapter: object) -> str:
    """What must be changed in an adapter's class, in one line; empty if nothing."""
    if not isinstance(adapter, type) or not issubclass(adapter, Backend | AsyncBackend):
        return f"{adapter!r} is no subclass of kvbench.Backend or kvbench.AsyncBackend"
    name = adapter.__name__
    missing = sorted(adapter.__abstractmethods__)
    if missing:
        return f"{name} does not define {', '.join(missing)}"
    return next(
        (
            f"{name}.{attribute} {problem}"
            for attribute, problem in (
                ("capabilities", _capabilities_problem(adapter.capabilities)),
                ("batch_kinds", _batch_kinds_problem(adapter.batch_kinds)),
                ("requires", _requires_problem(adapter.requires)),
                ("url_options", _url_options_problem(adapter.url_options)),
            )
            if problem
        ),
        "",
    )


def _capabilities_problem(declared: object) -> str:
    if not isinstance(declared, Set):
        return f"is {declared!r}: write frozenset({{Capability.TTL}}), or frozenset() for none"
    for one in declared:
        if not isinstance(one, Capability):
            return f"holds {one!r}: write {_member(Capability, one)}"
    return ""


def _batch_kinds_problem(declared: object) -> str:
    if not isinstance(declared, Mapping):
        return f'is {declared!r}: write {{"mget": BatchKind.NATIVE}}, or {{}} for loops'
    for operation, kind in declared.items():
        if operation not in BATCH_OPERATIONS:
            return f"names {operation!r}: there are {', '.join(BATCH_OPERATIONS)}"
        if not isinstance(kind, BatchKind):
            return f"has {kind!r} for {operation}: write {_member(BatchKind, kind)}"
    return ""


def _requires_problem(declared: object) -> str:
    if not isinstance(declared, tuple) or not all(isinstance(one, str) for one in declared):
        return f'is {declared!r}: write a tuple of import names, ("redis",)'
    return ""


def _url_options_problem(declared: object) -> str:
    if not isinstance(declared, Mapping):
        return f'is {declared!r}: write {{"option=1": "what it does"}}, or {{}} for none'
    return ""


def _member(words: type[BatchKind] | type[Capability], wrong: object) -> str:
    """How to write the intended member; all members if the word matches none."""
    fitting = [one for one in words if one.value == wrong] or list(words)
    return " or ".join([f"{words.__name__}.{one.name}" for one in fitting])
