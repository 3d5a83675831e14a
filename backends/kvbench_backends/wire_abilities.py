"""What a server of the wire protocol can do, as a backend: found out when it is opened.

A server must have GET, SET, DEL, EXISTS, PING and INFO; all else is optional, and HELLO lists only
the extensions. So each optional call is made once, on a key that no client has and that expires
within seconds; a call that is refused is not there. The backend then becomes one of a class that
declares no more than that: what is not there raises UnsupportedError, and a batch becomes a loop.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

from kvbench.backend import AsyncBackend, Backend
from kvbench.errors import UnsupportedError
from kvbench.model import BatchKind, Capability

_PROBE_TTL_S = 5.0
"""How long what a probe stores is there at most, should the connection break."""

METHODS: Mapping[Capability, tuple[str, ...]] = {
    Capability.TTL: ("ttl", "expire"),
    Capability.SETNX: ("setnx",),
    Capability.COUNTERS: ("incr", "decr"),
    Capability.CAS: ("cas",),
    Capability.LOCKS: ("lock", "extend_lock", "unlock"),
    Capability.GETDEL: ("getdel",),
}
"""The methods that stand or fall with a capability."""

BATCHES = ("mget", "mset", "mdel", "mexists", "mset_each")
"""Methods that a loop replaces where the server has no operation for them."""

_WITH_A_TTL = ("set", "mset")
"""Methods whose TTL is refused where the server does not have TTLs."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A call of a method that no server which has it refuses, the last one cleaning up."""

    method: str
    arguments: tuple[object, ...]


def probes() -> list[Probe]:
    """The calls, in an order in which each finds what it needs; they leave nothing behind."""
    key, owner = f"kvbench-probe:{secrets.token_hex(8)}", "probe"
    return [
        Probe("ttl", (key,)),
        Probe("expire", (key, _PROBE_TTL_S)),
        Probe("cas", (key, 1, 2)),
        Probe("getdel", (key,)),
        Probe("mget", ([key],)),
        Probe("mexists", ([key],)),
        Probe("mset", ({key: 1}, _PROBE_TTL_S)),
        Probe("mset_each", ([(key, 1, _PROBE_TTL_S)],)),
        Probe("mdel", ([key],)),
        Probe("delete", (key,)),
        Probe("setnx", (key, 1, _PROBE_TTL_S)),
        Probe("set", (key, 1, _PROBE_TTL_S)),
        Probe("incr", (key,)),
        Probe("decr", (key,)),
        Probe("delete", (key,)),
        Probe("lock", (key, owner, _PROBE_TTL_S)),
        Probe("extend_lock", (key, owner, _PROBE_TTL_S)),
        Probe("unlock", (key, owner)),
        Probe("delete", (key,)),
    ]


def narrowed(cls: type, missing: Iterable[str], announced: Iterable[str]) -> type:
    """The class of a backend whose server lacks some methods; ``cls`` where nothing is lacking.

    Args:
        cls: a class of the wire protocol, synchronous or not, that declares everything.
        missing: methods that the server refused.
        announced: what HELLO announced.
    """
    missing = set(missing)
    lacking = {one for one, methods in METHODS.items() if missing & {*methods}}
    if missing & {"mget", "mset", "mdel"} or Capability.ATOMIC_BATCH not in announced:
        lacking.add(Capability.ATOMIC_BATCH)
    if Capability.TTL in lacking:
        lacking.add(Capability.TTL_EACH)
    loops = [name for name in BATCHES if name in missing]
    if not lacking and not loops:
        return cls
    base = AsyncBackend if issubclass(cls, AsyncBackend) else Backend
    refused = [name for one in lacking for name in METHODS.get(one, ())]
    members: dict[str, Any] = {name: base.__dict__[name] for name in (*loops, *refused)}
    if Capability.TTL in lacking:
        members["mset_each"] = _refusing(base, "mset_each")
        members |= {
            name: _without_ttl(members.get(name, getattr(cls, name)), base) for name in _WITH_A_TTL
        }
    members["capabilities"] = frozenset(Capability) - lacking
    members["batch_kinds"] = {
        name: BatchKind.EMULATED if name in loops else BatchKind.NATIVE for name in BATCHES
    }
    return type(f"Part{cls.__name__}", (cls,), members)


def _refusing(base: type, name: str) -> Callable[..., Any]:
    """A method that raises UnsupportedError, with the parameters of the base's."""

    @wraps(base.__dict__[name])
    def refuse(*_: object, **__: object) -> Any:
        raise UnsupportedError(f"this server does not support {name}")

    if base is not AsyncBackend:
        return refuse

    @wraps(base.__dict__[name])
    async def refuse_later(*_: object, **__: object) -> Any:
        refuse()

    return refuse_later


def _without_ttl(method: Callable[..., Any], base: type) -> Callable[..., Any]:
    """``method``, which takes no TTL any more."""
    refuse = _refusing(base, method.__name__)

    @wraps(method)
    def call(self: object, what: Any, *others: Any, **named: Any) -> Any:
        # set takes a value before the TTL, mset does not.
        place = 1 if method.__name__ == "set" else 0
        ttl = others[place] if len(others) > place else named.get("ttl")
        return method(self, what, *others, **named) if ttl is None else refuse()

    return call
