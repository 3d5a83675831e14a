"""memcached's text protocol, as far as its adapter speaks it beside pymemcache.

pymemcache's batches (set_many, delete_many) tell nothing of the single answers or stop at the first
error, and its raw_command loses what does not come in one piece. So the adapter writes and reads
the commands whose answer is one line: here are they, their answers, and the translation of errors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from kvbench.errors import (
    KvConnectionError,
    KvError,
    KvProtocolError,
    KvServerError,
    KvTimeoutError,
)
from kvbench.model import Value, check_bytes, check_key, check_keys, ttl_to_ms

if TYPE_CHECKING:
    import pymemcache

KEY_BYTES_MAX = 250
"""memcached's own limit, set when it is compiled."""

PIPELINE_COMMANDS_MAX = 1000
"""Commands sent before their answers are read. The answers (64 bytes at most) must fit into the
socket's buffers: a server that cannot answer stops reading, and both would wait for ever."""

_RELATIVE_S_MAX = 30 * 86_400
"""memcached reads larger expiry times as seconds since 1970."""

_FORBIDDEN = re.compile(rb"[\x00-\x20\x7f]")
_REFUSED = (b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR")


def encode_key(key: str) -> bytes:
    """The key as memcached has it.

    Raises:
        TypeError: it is no ``str``.
        ValueError: it is no key, or none for memcached: too long, a space, a control character.
    """
    check_key(key)
    name = key.encode()
    if len(name) > KEY_BYTES_MAX:
        raise ValueError(f"key {key[:40]!r} has {len(name)} bytes; memcached holds {KEY_BYTES_MAX}")
    if _FORBIDDEN.search(name):
        raise ValueError(f"key {key!r}: memcached takes no spaces and no control characters")
    return name


def encode_keys(keys: Sequence[str]) -> list[bytes]:
    """:func:`encode_key` for a batch."""
    check_keys(keys)
    return list(map(encode_key, keys))


def set_command(key: str, value: Value, expiry: int) -> bytes:
    """The command that stores a value, which must be ``bytes``."""
    data = check_bytes(key, value)
    return b"set %b 0 %d %d\r\n%b\r\n" % (encode_key(key), expiry, len(data), data)


def expiry_time(client: pymemcache.Client, ttl: float | None) -> int:
    """A TTL in seconds as memcached's expiry time; 0 is none.

    The server's clock goes in steps, and ``n`` steps end up to one step early: one more is added,
    and another to a date, since the clock may go on while the date is on its way.
    """
    ttl_ms = ttl_to_ms(ttl)
    if not ttl_ms:
        return 0
    steps = -(-ttl_ms // 1000) + 1
    return steps if steps <= _RELATIVE_S_MAX else _server_time(client) + steps + 1


def expiry_time_after(client: pymemcache.Client, steps: int) -> int:
    """The expiry time of a key that has so many steps left on the server's clock."""
    return steps if steps <= _RELATIVE_S_MAX else _server_time(client) + steps


def _server_time(client: pymemcache.Client) -> int:
    """Seconds since 1970 by the server's clock, which may differ from this machine's."""
    with TRANSLATED:
        return int(client.stats()[b"time"])


def exchange(client: pymemcache.Client, commands: list[bytes]) -> list[bytes]:
    """Send commands of which each has one line of answer; returns the lines.

    An error is an answer like another. After one the connection is closed, since memcached may have
    said more than a line; it opens again when it is needed.
    """
    answers: list[bytes] = []
    with TRANSLATED:
        try:
            for start in range(0, len(commands), PIPELINE_COMMANDS_MAX):
                chunk = commands[start : start + PIPELINE_COMMANDS_MAX]
                if client.sock is None:
                    client.version()  # The least call that connects.
                client.sock.sendall(b"".join(chunk))
                lines = _read_lines(client, len(chunk))
                answers += lines
                if any(line.startswith(_REFUSED) for line in lines):
                    client.close()
        except BaseException:
            client.close()
            raise
    return answers


def _read_lines(client: pymemcache.Client, count: int) -> list[bytes]:
    data = bytearray()
    seen = 0
    while seen < count:
        piece: bytes = client.sock.recv(65_536)
        if not piece:
            raise KvConnectionError("memcached closed the connection")
        data += piece
        seen += piece.count(b"\n")
    return bytes(data).split(b"\r\n")[:count]


def check_answers(answers: list[bytes], *known: bytes) -> None:
    """KvServerError for the first answer that begins with none of ``known``."""
    for answer in answers:
        if not answer.startswith(known):
            raise KvServerError(2, f"memcached: {answer.decode(errors='replace')}")


class _Translation:
    """A reusable context that turns pymemcache's errors into ours: one table, one seam."""

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None or isinstance(error, KvError):
            return
        import pymemcache.exceptions as theirs

        if isinstance(error, TimeoutError):
            raise KvTimeoutError(f"no answer in time: {error}") from None
        if isinstance(error, theirs.MemcacheUnexpectedCloseError):
            raise KvConnectionError("memcached closed the connection") from None
        if isinstance(error, OSError):
            raise KvConnectionError(str(error)) from None
        if isinstance(error, theirs.MemcacheUnknownError | ValueError):
            raise KvProtocolError(f"this is not memcached's language: {error}") from None
        if isinstance(error, theirs.MemcacheError):
            words = error.args[0] if error.args else kind.__name__
            text = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
            raise KvServerError(2, f"memcached: {text}") from None


TRANSLATED = _Translation()
