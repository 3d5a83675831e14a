"""memcached's text protocol: the commands that the adapter sends without pymemcache.

pymemcache's batches (set_many, delete_many) do not return each reply or stop at the first error,
and its raw_command loses data that arrives in several segments. So this module writes the commands
whose reply is one line, and reads the replies. It also translates pymemcache's errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kvbench.duplex import send_while_receiving
from kvbench.errors import (
    KvConnectionError,
    KvProtocolError,
    KvRefusedError,
    KvTimeoutError,
)
from kvbench.model import Value, check_bytes, check_key, check_keys, ttl_to_ms
from kvbench_backends.foreign_errors import Table, Translation

if TYPE_CHECKING:
    import pymemcache

KEY_BYTES_MAX = 250
"""memcached's limit, set when it is compiled."""

_COMMANDS_PER_TIMEOUT = 1000
"""A pipeline may take the client's timeout for each so many commands."""

_RELATIVE_S_MAX = 30 * 86_400
"""memcached reads larger expiry times as seconds since 1970."""

_FORBIDDEN = re.compile(rb"[\x00-\x20\x7f]")
_REFUSED = (b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR")


def encode_key(key: str) -> bytes:
    """The key in bytes, as memcached stores it.

    Raises:
        TypeError: it is no ``str``.
        ValueError: it is too long, or holds a space or a control character.
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
    """Send commands of which each has one line of answer, in one flush; returns the lines.

    An error is an answer like another. After one the connection is closed, since memcached may have
    sent more than a line; the next command opens a new one.
    """
    received = bytearray()
    missing = len(commands)

    def feed(data: bytes) -> bool:
        nonlocal missing
        received.extend(data)
        missing -= data.count(b"\n")
        return missing <= 0

    _send(client, commands, feed)
    lines = bytes(received).split(b"\r\n")[: len(commands)]
    _close_after_errors(client, lines)
    return lines


def exchange_values(client: pymemcache.Client, commands: list[bytes]) -> list[bytes | None]:
    """Send meta gets with the flag ``v`` in one flush; returns the values, None for a miss.

    Raises:
        KvRefusedError: memcached refused some of them; all have been answered.
    """
    received = bytearray()
    found: list[bytes | None] = []
    errors: list[bytes] = []

    def feed(data: bytes) -> bool:
        received.extend(data)
        place = 0
        while (end := received.find(b"\r\n", place)) >= 0:
            line, start = bytes(received[place:end]), end + 2
            if line.startswith(b"VA "):  # VA SIZE, a line's end, so many bytes, a line's end
                size = int(line.split()[1])
                if len(received) < start + size + 2:
                    break
                found.append(bytes(received[start : start + size]))
                place = start + size + 2
            else:
                found.append(None)
                place = start
                if line != b"EN":
                    errors.append(line)
        del received[:place]
        return len(found) >= len(commands)

    _send(client, commands, feed)
    _close_after_errors(client, errors)
    check_answers(errors)
    return found[: len(commands)]


def _send(client: pymemcache.Client, commands: list[bytes], feed: Callable[[bytes], bool]) -> None:
    """Send all commands while what comes is read, on the client's own connection."""
    if not commands:
        return
    with TRANSLATED:
        try:
            if client.sock is None:
                client.version()  # The least call that connects.
            timeout_s = client.sock.gettimeout() * (1 + len(commands) // _COMMANDS_PER_TIMEOUT)
            send_while_receiving(client.sock, b"".join(commands), feed, timeout_s)
        except BaseException:
            client.close()
            raise


def _close_after_errors(client: pymemcache.Client, lines: list[bytes]) -> None:
    if any(line.startswith(_REFUSED) for line in lines):
        client.close()


def check_answers(answers: list[bytes], *known: bytes) -> None:
    """KvRefusedError for the first answer that begins with none of ``known``."""
    for answer in answers:
        if not answer.startswith(known):
            raise KvRefusedError(f"memcached: {answer.decode(errors='replace')}")


def _errors() -> Table:
    import pymemcache.exceptions as theirs

    return {
        TimeoutError: lambda error: KvTimeoutError(f"no answer in time: {error}"),
        theirs.MemcacheUnexpectedCloseError: lambda _: KvConnectionError(
            "memcached closed the connection"
        ),
        OSError: lambda error: KvConnectionError(str(error)),
        theirs.MemcacheUnknownError: _not_memcached,
        ValueError: _not_memcached,
        theirs.MemcacheError: _refused,
    }


def _not_memcached(error: Exception) -> KvProtocolError:
    return KvProtocolError(f"the answer does not follow memcached's protocol: {error}")


def _refused(error: Exception) -> KvRefusedError:
    words = error.args[0] if error.args else type(error).__name__
    text = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
    return KvRefusedError(f"memcached: {text}")


TRANSLATED = Translation(_errors)
