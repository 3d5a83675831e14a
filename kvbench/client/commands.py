"""Commands as data: the bytes of a request, and the reader of its response. No I/O.

Each function checks its arguments and builds a :class:`Command`; the clients and the pool only move
the bytes. An invalid argument raises TypeError or ValueError here, before anything is sent
(CLIENT-004). A batch of more than 65,535 keys becomes several commands (BATCH-006); :func:`joined`
combines their results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Generic, TypeVar, cast

from kvbench.client import replies
from kvbench.client.replies import Steps
from kvbench.errors import KvProtocolError, KvServerError, ProtocolError
from kvbench.model import Pairs, Value, lock_ttl_to_ms, pair_list, ttl_to_ms
from kvbench.protocol import requests, responses
from kvbench.protocol.client import message_of
from kvbench.protocol.frames import frame
from kvbench.protocol.opcodes import BATCH_KEYS_MAX, EXTENSIONS, PROTOCOL_VERSION, Opcode, Status
from kvbench.protocol.values import decode_value

T = TypeVar("T")


@dataclass(slots=True)
class Command(Generic[T]):
    """One request.

    Attributes:
        request: the whole frame.
        parse: reads the payload of an OK response; raises ProtocolError if it is invalid.
        null: whether NULL is a valid response, read as None.
        steps: ``parse`` in bounded steps, for commands with large replies.
    """

    request: bytes
    parse: Callable[[bytes], T]
    null: bool = False
    steps: Callable[[bytes], Steps[T]] | None = None

    def result(self, status: int, payload: bytes) -> T:
        """The result of a response.

        Raises:
            KvServerError: the server refused; the connection stays usable.
            KvProtocolError: the response is invalid; the connection must be closed.
        """
        if status == Status.OK:
            try:
                return self.parse(payload)
            except ProtocolError as error:
                raise KvProtocolError(f"the server's reply is invalid: {error}") from None
        if status == Status.NULL and self.null:
            return None  # type: ignore[return-value]  # T includes None where null is True
        if status in (Status.ERROR, Status.INVALID):
            raise KvServerError(status, message_of(payload))
        raise KvProtocolError(f"the server answered with status 0x{status:02x}, not allowed here")

    def result_in_steps(self, status: int, payload: bytes) -> Steps[T]:
        """Like :meth:`result`, but yields between bounded steps."""
        if status != Status.OK or self.steps is None:
            return self.result(status, payload)
        try:
            return (yield from self.steps(payload))
        except ProtocolError as error:
            raise KvProtocolError(f"the server's reply is invalid: {error}") from None


def ping() -> Command[bool]:
    """PING: True."""
    return Command(requests.empty_request(Opcode.PING), replies.parse_pong)


def info() -> Command[dict[str, object]]:
    """INFO: information about the server."""
    return Command(requests.empty_request(Opcode.INFO), replies.parse_info)


def hello() -> Command[tuple[int, list[str]]]:
    """HELLO: the server's protocol version and capabilities."""
    payload = requests.hello_payload(PROTOCOL_VERSION, list(EXTENSIONS))
    return Command(frame(Opcode.HELLO, payload), replies.parse_hello)


def get(prefix: bytes, key: str) -> Command[Value]:
    """GET: the value, None when absent."""
    request = requests.key_request(Opcode.GET, prefix, _named(key))
    return Command(request, decode_value, True, replies.value_steps)


def set(prefix: bytes, key: str, value: Value, ttl: float | None) -> Command[None]:
    """SET."""
    request = requests.set_request(Opcode.SET, prefix, _named(key), value, ttl_to_ms(ttl))
    return Command(request, responses.parse_empty_reply)


def setnx(prefix: bytes, key: str, value: Value, ttl: float | None) -> Command[bool]:
    """SETNX: whether it stored."""
    request = requests.set_request(Opcode.SETNX, prefix, _named(key), value, ttl_to_ms(ttl))
    return Command(request, responses.parse_flag)


def getdel(prefix: bytes, key: str) -> Command[Value]:
    """GETDEL: the value that was removed, None when there was none."""
    request = requests.key_request(Opcode.GETDEL, prefix, _named(key))
    return Command(request, decode_value, True, replies.value_steps)


def delete(prefix: bytes, key: str) -> Command[bool]:
    """DEL: whether the key was there."""
    return Command(requests.key_request(Opcode.DEL, prefix, _named(key)), responses.parse_flag)


def exists(prefix: bytes, key: str) -> Command[bool]:
    """EXISTS: whether the key is there."""
    return Command(requests.key_request(Opcode.EXISTS, prefix, _named(key)), responses.parse_flag)


def incr(prefix: bytes, key: str, delta: int) -> Command[int]:
    """INCR: the new value."""
    request = requests.counter_request(Opcode.INCR, prefix, _named(key), delta)
    return Command(request, responses.parse_i64)


def decr(prefix: bytes, key: str, delta: int) -> Command[int]:
    """DECR: the new value."""
    request = requests.counter_request(Opcode.DECR, prefix, _named(key), delta)
    return Command(request, responses.parse_i64)


def cas(
    prefix: bytes, key: str, expected: Value, new: Value, ttl: float | None
) -> Command[bool | None]:
    """CAS: True if swapped, False on mismatch, None when absent."""
    request = requests.cas_request(prefix, _named(key), expected, new, ttl_to_ms(ttl))
    return Command(request, responses.parse_flag, null=True)


def expire(prefix: bytes, key: str, ttl: float | None) -> Command[bool]:
    """EXPIRE: whether the key was there."""
    return Command(
        requests.expire_request(prefix, _named(key), ttl_to_ms(ttl)), responses.parse_flag
    )


def ttl(prefix: bytes, key: str) -> Command[float | None]:
    """TTL: seconds left, -1.0 without a TTL, None when absent."""
    return Command(
        requests.key_request(Opcode.TTL, prefix, _named(key)), replies.parse_ttl, null=True
    )


def lock(prefix: bytes, key: str, owner: str, ttl: float) -> Command[bool]:
    """LOCK: whether it was free."""
    request = requests.lock_request(
        Opcode.LOCK, prefix, _named(key), _owner(owner), lock_ttl_to_ms(ttl)
    )
    return Command(request, responses.parse_flag)


def unlock(prefix: bytes, key: str, owner: str) -> Command[bool]:
    """UNLOCK: False when it was not held."""
    return Command(
        requests.unlock_request(prefix, _named(key), _owner(owner)),
        responses.parse_flag,
    )


def extend_lock(prefix: bytes, key: str, owner: str, ttl: float) -> Command[bool]:
    """EXTEND: False when it is not held."""
    request = requests.lock_request(
        Opcode.EXTEND, prefix, _named(key), _owner(owner), lock_ttl_to_ms(ttl)
    )
    return Command(request, responses.parse_flag)


def mget(prefix: bytes, keys: Iterable[str]) -> list[Command[list[Value]]]:
    """MGET: values in the order of the keys."""
    return [
        Command(
            request,
            partial(responses.parse_values, count=count),
            steps=partial(replies.values_steps, count=count),
        )
        for request, count in _keys_requests(Opcode.MGET, prefix, keys)
    ]


def mset(prefix: bytes, pairs: Pairs, ttl: float | None) -> list[Command[None]]:
    """MSET: one TTL for all."""
    ttl_ms = ttl_to_ms(ttl)
    ready = cast("list[tuple[str, object]]", pair_list(pairs))
    try:
        return [
            Command(requests.mset_request(prefix, some, ttl_ms), responses.parse_empty_reply)
            for some in _chunks(ready)
        ]
    except TypeError:
        _check_named(key for key, _ in ready)
        raise


def mset_each(
    prefix: bytes, entries: Iterable[tuple[str, Value, float | None]]
) -> list[Command[None]]:
    """MSETEX: a TTL for each entry."""
    ready: list[tuple[str, object, int]] = []
    for entry in entries:
        if not isinstance(entry, tuple | list) or len(entry) != 3:
            raise TypeError(f"mset_each takes (key, value, ttl) entries, not {entry!r}")
        key = _named(entry[0])
        try:
            ready.append((key, entry[1], ttl_to_ms(entry[2])))
        except (TypeError, ValueError) as error:
            raise type(error)(f"key {key!r}: {error}") from None
    return [
        Command(requests.msetex_request(prefix, some), responses.parse_empty_reply)
        for some in _chunks(ready)
    ]


def mdel(prefix: bytes, keys: Iterable[str]) -> list[Command[int]]:
    """MDEL: how many keys were removed."""
    return [
        Command(request, responses.parse_count)
        for request, _ in _keys_requests(Opcode.MDEL, prefix, keys)
    ]


def mexists(prefix: bytes, keys: Iterable[str]) -> list[Command[list[bool]]]:
    """MEXISTS: a flag for each key."""
    return [
        Command(request, partial(responses.parse_flags, count=count))
        for request, count in _keys_requests(Opcode.MEXISTS, prefix, keys)
    ]


def each(
    command: Callable[[bytes, str], Command[T]], prefix: bytes, keys: Iterable[str]
) -> list[Command[T]]:
    """One single-key request for each key, to be sent together."""
    _refuse_text(keys)
    return [command(prefix, key) for key in keys]


def set_each(prefix: bytes, pairs: Pairs, ttl: float | None) -> list[Command[None]]:
    """One SET for each pair, to be sent together."""
    return [set(prefix, key, value, ttl) for key, value in pair_list(pairs)]


def joined(parts: Sequence[list[T]]) -> list[T]:
    """The results of a split batch as one list."""
    if len(parts) == 1:
        return parts[0]
    return [item for part in parts for item in part]


def chunks_of(items: Iterable[T], size: int) -> Iterable[list[T]]:
    """Split ``items`` into lists of ``size``, lazily.

    Raises:
        TypeError: ``items`` is a single text.
        ValueError: ``size`` is not 1 to 65,535.
    """
    check_chunk(size, 1)
    _refuse_text(items)
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def check_chunk(chunk_size: int, window: int) -> None:
    """Check a stream's settings; ValueError names the valid range."""
    if not 1 <= chunk_size <= BATCH_KEYS_MAX:
        raise ValueError(f"chunk_size is 1 to {BATCH_KEYS_MAX}, not {chunk_size}")
    if window < 1:
        raise ValueError(f"window is at least 1, not {window}")


def _keys_requests(opcode: Opcode, prefix: bytes, keys: Iterable[str]) -> list[tuple[bytes, int]]:
    """Frames for a batch of keys, and how many keys each holds."""
    _refuse_text(keys)
    ready = list(keys)
    try:
        return [(requests.keys_request(opcode, prefix, some), len(some)) for some in _chunks(ready)]
    except TypeError:
        _check_named(ready)
        raise


def _chunks(items: list[T]) -> list[list[T]]:
    if len(items) <= BATCH_KEYS_MAX:
        return [items] if items else []
    return [items[i : i + BATCH_KEYS_MAX] for i in range(0, len(items), BATCH_KEYS_MAX)]


def _named(key: str) -> str:
    """Check that ``key`` is a str; the error of compiled code would not name the argument."""
    if not isinstance(key, str):
        raise TypeError(f"a key must be a str, not {type(key).__name__}: {key!r}")
    return key


def _owner(owner: str) -> str:
    if not isinstance(owner, str):
        raise TypeError(f"a lock's owner must be a str, not {type(owner).__name__}: {owner!r}")
    return owner


def _check_named(keys: Iterable[str]) -> None:
    for key in keys:
        _named(key)


def _refuse_text(items: object) -> None:
    """Refuse a single text: its characters would be taken for keys."""
    if isinstance(items, str | bytes):
        raise TypeError(f"keys must be a list of str, not one {type(items).__name__}: {items!r}")
