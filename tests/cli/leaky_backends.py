"""Adapters that put a secret, or what controls a terminal, into every text of theirs.

No adapter of kvbench does so, but drivers and third parties' adapters do, each in its own way.
"""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from urllib.parse import quote_plus, unquote, urlsplit

from kvbench import registry
from kvbench.backend import Backend
from kvbench.errors import KvConnectionError, KvRefusedError
from kvbench.model import BatchKind, Capability
from tests.worker_adapters import publish

OPENED: list[str] = []
"""Every URL that one of these was opened with: proof that the password had arrived."""


class LeakyFacts(Backend):
    """A dict that works, and tells its password to whoever asks what it is."""

    summary = "leaks"
    is_network = True
    capabilities = frozenset({Capability.TYPED_VALUES, Capability.SHARED})
    batch_kinds = dict.fromkeys(("mget", "mset", "mdel", "mexists"), BatchKind.NATIVE)
    data: dict = {}  # noqa: RUF012 - shared: a second opening sees the same data

    def __init__(self, url):
        self.url = url
        self.password = unquote(urlsplit(url).password or "")
        OPENED.append(url)

    @classmethod
    def open(cls, url):
        return cls(url)

    def close(self):
        pass

    def leaks(self):
        """The same secret as many programs write it."""
        other = f"redis://{self.url.partition('://')[2]}"
        ways = [self.url, other, repr(other), json.dumps(self.url), self.password]
        return " ".join([*ways, repr(self.password), quote_plus(self.password)])

    def describe(self):
        return {"product": self.url, "login": self.leaks(), self.password: "as a name"}

    def get(self, key):
        return self.data.get(key)

    def set(self, key, value, ttl=None):
        self.data[key] = value

    def delete(self, key):
        return self.data.pop(key, self) is not self

    def exists(self, key):
        return key in self.data


class LeakyErrors(LeakyFacts):
    """Single calls work; a batch call fails, and its error quotes the password."""

    def mget(self, keys):
        raise KvRefusedError(f"refused: {self.leaks()}")

    def mset(self, pairs, ttl=None):
        raise RuntimeError(f"no wonder: {self.leaks()}")


class LeakyOpen(LeakyFacts):
    """Cannot be reached."""

    @classmethod
    def open(cls, url):
        raise KvConnectionError(f"cannot connect: {cls(url).leaks()}")


class LeakyCrash(LeakyFacts):
    """Its driver has a fault."""

    @classmethod
    def open(cls, url):
        raise ZeroDivisionError(f"in the driver: {cls(url).leaks()}")


EVIL = (
    "\x1b]0;owned\x07 [red]x[/red] :smile: | <script>alert(1)</script> \x9b31m\x7f \u202e \u2066"
    "\r\nkvbench: forged line\u2028&lt; `code` *b* [a](javascript:x) \\"
)


class EvilAdapter(LeakyFacts):
    """Works, with facts and errors that try to take a terminal over."""

    def describe(self):
        return {"product": EVIL, EVIL: EVIL}

    def mset(self, pairs, ttl=None):
        raise KvRefusedError(EVIL)


SCHEMES = {
    "evil": EvilAdapter,
    "facts": LeakyFacts,
    "errors": LeakyErrors,
    "open": LeakyOpen,
    "crash": LeakyCrash,
}


def register(monkeypatch, directory):
    """Make them targets, here and in workers: ``facts://``, ``errors://``, ``open://``, ``crash://``.

    ``directory`` gets the metadata for the workers.
    """
    names = {scheme: cls.__name__ for scheme, cls in SCHEMES.items()}
    publish(directory, monkeypatch, Path(__file__), **names)
    points = dict(registry._entry_points())
    for scheme, cls in SCHEMES.items():
        points[scheme] = EntryPoint(scheme, f"{__name__}:{cls.__name__}", registry.GROUP)
    monkeypatch.setattr(registry, "_entry_points", lambda: points)
    LeakyFacts.data.clear()
