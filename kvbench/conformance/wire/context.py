"""The test context of wire cases: isolated keys, and connections that speak raw frames.

A :class:`WireContext` is what a wire case gets: an address, a key prefix, and as many connections
as it asks for. Everything that crosses them is recorded with its time, so that a failure can show
the conversation and be played again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from types import EllipsisType
from typing import Self

import msgspec
from typing_extensions import override

from kvbench.conformance.case import CaseContext
from kvbench.conformance.findings import (
    CaseFailed,
    SetupFailed,
    SeveralFindings,
    TargetLost,
)
from kvbench.conformance.isolation import ForeignKeyError, fresh_prefix
from kvbench.conformance.wire.codec import encode
from kvbench.conformance.wire.connection import REPLY_TIMEOUT_S, WireConnection
from kvbench.conformance.wire.frames import frame
from kvbench.conformance.wire.grounds import grounds_of
from kvbench.conformance.wire.guard import EMPTY_KEY, StreamGuard
from kvbench.conformance.wire.oracle import Action
from kvbench.conformance.wire.presence import Absence, why_absent
from kvbench.conformance.wire.trace import Trace, exchanges
from kvbench.conformance.wire.traits import traits_of
from kvbench.conformance.wire.values import encode_value
from kvbench.errors import KvError
from kvbench.model import Value
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.verdicts import Exchange, Traits

_BUSY_S = 2.0
"""What a server gets on top of its timeout for an answer after a failure: slow is not dead."""

_CLEANING_TIMEOUT_S = 1.0
"""A target that does not delete a key within this keeps it, and has failed anyway."""


class WireContext(CaseContext):
    """What a wire case works with. Closes all connections, and deletes its keys, at its end.

    Args:
        host: where the target listens.
        port: its port.
        capabilities: what the target declares or was found to have.
        seed: of everything random in the case.
        effort: 1 by default, more with ``--rigorous``: multiplies examples and rounds.
        net_ttl_ms: the TTL of what no clause says to be without one, in ms; 0 for none.
        is_guarded: whether only keys with the prefix can be written (wire.guard).
        on_silence: called with the seconds spent waiting for a reply that did not come.

    Attributes:
        prefix: how each key of this case begins: as many ASCII characters as KEY_TOKEN.
        rng: random numbers from the seed.
        trace: all that happened on its connections.
        silent_count: how many replies did not come in time.
        shown: the context whose conversation a failure shows: this one, or a failing example's.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        capabilities: frozenset[str],
        seed: str,
        effort: int = 1,
        reply_timeout_s: float = REPLY_TIMEOUT_S,
        net_ttl_ms: int = 0,
        is_guarded: bool = True,
        on_silence: Callable[[float], None] | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.capabilities = capabilities
        self.seed = seed
        self.effort = effort
        self.reply_timeout_s = reply_timeout_s
        self.net_ttl_ms = net_ttl_ms
        self.rng = random.Random(seed)
        self.prefix = fresh_prefix()
        self.trace = Trace()
        self.shown = self
        self._keys: set[bytes] = set()
        self._connections: list[WireConnection] = []
        self._is_guarded = is_guarded
        self._on_silence = on_silence
        self._is_lost = False
        self.silent_count = 0
        self._is_empty_key_absent = False

    @property
    def run_seed(self) -> str:
        """The seed of the whole run, from which the case's follows: ``--seed`` repeats it."""
        return self.seed.rpartition("/")[0] or self.seed

    @property
    @override
    def exchanges(self) -> tuple[Exchange, ...]:
        return exchanges(self.trace.events)

    @property
    @override
    def grounds(self) -> tuple[str, ...]:
        return grounds_of(self.trace.events)

    @override
    def traits(self, error: CaseFailed) -> Traits:
        traits = traits_of(self.trace.events, error)
        if isinstance(error, TargetLost):
            traits = msgspec.structs.replace(traits, ending=error.ending)
        return traits

    @property
    def transcript(self) -> tuple[Exchange, ...]:
        """The whole conversation, for a file."""
        return exchanges(self.trace.events, is_whole=True)

    def now_ms(self) -> float:
        """Milliseconds since the case began."""
        return self.trace.now_ms()

    def connect(self) -> WireConnection:
        """A new connection, closed at the end of the case."""
        connection = self._open(_name(len(self._connections)), self.trace)
        self._connections.append(connection)
        return connection

    def note_silence(self, seconds: float) -> None:
        """A reply was waited for, and did not come."""
        self.silent_count += 1
        if self._on_silence is not None:
            self._on_silence(seconds)

    def _open(
        self, name: str, trace: Trace, reply_timeout_s: float | None = None
    ) -> WireConnection:
        guard = StreamGuard(self.prefix)

        def check(data: bytes, pieces: int) -> None:
            if self._is_guarded and guard.check(data, pieces):
                self.see_empty_key_absent()

        timeout_s = self.reply_timeout_s if reply_timeout_s is None else reply_timeout_s
        address = self.host, self.port
        return WireConnection(address, name, trace, check, timeout_s, self.note_silence)

    def may_send(self, *pieces: bytes) -> bool:
        """Whether a new connection could send these pieces without an error of the guard."""
        guard = StreamGuard(self.prefix)
        try:
            for piece in pieces:
                guard.check(piece)
        except ForeignKeyError:
            return False
        return True

    def see_empty_key_absent(self) -> None:
        """Look whether the empty key is stored; what the case stores there is deleted.

        Raises:
            SetupFailed: it is, or the target does not say.
        """
        if self._is_empty_key_absent:
            return
        try:
            with closing(self._open("looker", Trace())) as looker:
                looker.send(frame(Opcode.GET, EMPTY_KEY))
                reply = looker.read_or_end()
        except CaseFailed as error:
            raise SetupFailed(f"GET of the empty key, before it is written: {error}") from None
        if reply is not None and reply.status == Status.OK:
            raise SetupFailed("the empty key holds a value, which may belong to another user")
        self._is_empty_key_absent = True
        self._keys.add(EMPTY_KEY)

    def key(self, name: str = "k") -> str:
        """An isolated key; it is deleted at the end."""
        key = f"{self.prefix}{name}"
        self._keys.add(key.encode())
        return key

    def keys(self, count: int) -> list[str]:
        """So many isolated keys."""
        return [self.key(f":{index:05d}") for index in range(count)]

    def own(self, keys: Sequence[bytes]) -> None:
        """Have keys deleted at the end that the case made itself."""
        self._keys.update(keys)

    @property
    def owned(self) -> list[bytes]:
        """The keys of this case, sorted."""
        return sorted(self._keys)

    def stored(
        self, connection: WireConnection, key: str, value: Value, ttl_ms: int | None = None
    ) -> None:
        """Store a value as a step before the one that is checked; by default with the net's TTL.

        Raises:
            SetupFailed: it was not OK.
        """
        ttl_ms = self.net_ttl_ms if ttl_ms is None else ttl_ms
        request = encode(Action("set", (key,), (value,), ttl_ms))
        reply = connection.exchange(request)
        if reply.status != Status.OK:
            raise SetupFailed(f"SET before the check answered {reply}")

    def expect_value(
        self, connection: WireConnection, key: str, value: Value | EllipsisType
    ) -> None:
        """Fail the case unless GET answers this very value, or NULL for ``...``."""
        reply = connection.exchange(encode(Action("get", (key,))))
        if isinstance(value, EllipsisType):
            reply.expect(Status.NULL, b"")
        else:
            reply.expect(Status.OK, encode_value(value))

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def __exit__(self, *raised: object) -> None:
        """Raise TargetLost where the target did not survive the case."""
        for connection in self._connections:
            connection.close()
        lost = self.loss(raised[1])
        if lost is not None and isinstance(raised[1], SeveralFindings):
            raise SeveralFindings([*raised[1].findings, ((), lost)])
        if lost is not None:
            raise lost from None
        if not self._is_lost:
            self.delete_keys()

    def loss(self, error: object) -> TargetLost | None:
        """What became of a target that seems to be gone, reported once."""
        is_broken = isinstance(error, CaseFailed | KvError | OSError)
        if self._is_lost or isinstance(error, TargetLost) or not (is_broken or self.trace.has_end):
            return None
        absent = why_absent((self.host, self.port), self.reply_timeout_s + _BUSY_S)
        if absent is None or absent.how is Absence.OTHER_PROTOCOL:
            return None
        self._is_lost = True
        is_gone = absent.how is Absence.UNREACHABLE
        what = "the server process ended" if is_gone else "the server stopped answering"
        sent = [one.decoded for one in self.exchanges if one.direction == ">"]
        after = f" after this frame: {sent[-1]}" if sent else ""
        seen = f" ({error.actual})" if isinstance(error, CaseFailed) else ""
        lost = TargetLost("a server that goes on", f"{what}{after}{seen}")
        lost.ending = "ended" if is_gone else "stopped"
        return lost

    def delete_keys(self) -> None:
        """Delete the keys of this case. Best effort: a target that is down keeps them."""
        if not self._keys:
            return
        timeout_s = min(self.reply_timeout_s, _CLEANING_TIMEOUT_S)
        with (
            suppress(CaseFailed, SetupFailed),
            closing(self._open("cleaner", Trace(), timeout_s)) as cleaner,
        ):
            for key in self._keys:
                cleaner.send(frame(Opcode.DEL, key))
                cleaner.read()


def _name(index: int) -> str:
    """``a`` to ``z``, then ``a1``…: names that vectors can use."""
    letter = chr(ord("a") + index % 26)
    return letter if index < 26 else f"{letter}{index // 26}"
