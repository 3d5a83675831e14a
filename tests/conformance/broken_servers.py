"""Servers for tests: a thread for each connection, a dispatcher that may be wrong on purpose."""

from __future__ import annotations

import os
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from kvbench.engine import Engine
from kvbench.errors import ProtocolError
from kvbench.protocol import requests, responses
from kvbench.protocol.frames import FrameReader
from kvbench.protocol.opcodes import Opcode, Tag
from kvbench.protocol.values import decode_value, encode_value, values_equal
from kvbench.server.dispatch import Dispatcher
from kvbench.server.stats import Stats


class ThreadedDispatcher(Dispatcher):
    """Answers requests one after the other, whichever thread brings them.

    A subclass that is to be wrong between two steps of one request gives the lock up in between.
    """

    def __init__(self) -> None:
        super().__init__(Engine(None), Stats(None))
        self.lock = threading.Lock()

    def answer(self, opcode: int, payload: bytes) -> bytes:
        with self.lock:
            return self.handle(opcode, payload)

    def cut(self, reader: FrameReader, data: bytes) -> list[tuple[int, bytes]]:
        """The requests that the bytes of one read complete."""
        return reader.feed(data)

    def ended(self, rest: bytes) -> None:
        """A connection has ended; ``rest`` is what came of a request that is not complete."""

    def let_others_in(self) -> None:
        """Let requests in that are waiting; there may be none."""
        self.lock.release()
        threading.Event().wait(0.0005)
        self.lock.acquire()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    dispatcher: ThreadedDispatcher


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = FrameReader()
        dispatcher = cast(_Server, self.server).dispatcher
        try:
            while data := self.request.recv(65_536):
                for opcode, payload in dispatcher.cut(reader, data):
                    self.request.sendall(dispatcher.answer(opcode, payload))
                if reader.oversize_bytes:
                    return
        except OSError:
            return
        finally:
            dispatcher.ended(bytes(reader._partial))


@contextmanager
def serving(dispatcher: ThreadedDispatcher, port: int = 0) -> Iterator[int]:
    """Serve on a port of the loopback address, by default a free one; gives the port."""
    server = _Server(("127.0.0.1", port), _Handler)
    server.dispatcher = dispatcher
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# --- Between two steps of a request ---------------------------------------------------------------


class HalfBatches(ThreadedDispatcher):
    """MSET in two halves, with others in between."""

    def _mset(self, payload):
        ttl_ms, items = requests.parse_mset(payload)
        pairs = list(items.items())
        half = len(pairs) // 2
        self._engine.mset(dict(pairs[:half]), ttl_ms)
        self.let_others_in()
        self._engine.mset(dict(pairs[half:]), ttl_ms)
        return responses.EMPTY_RESPONSE


class LostUpdates(ThreadedDispatcher):
    """What reads, decides and writes lets others in before it writes."""

    def _add(self, key, delta):
        stored = self._engine.get(key)
        number = decode_value(stored) if stored else 0
        self.let_others_in()
        self._engine.set(key, encode_value(number + delta))
        return responses.i64_response(number + delta)

    def _cas(self, payload):
        key, ttl_ms, expected, new = requests.parse_cas(payload)
        stored = self._engine.get(key)
        if stored is None:
            return responses.NULL_RESPONSE
        matches = values_equal(decode_value(stored), decode_value(expected))
        self.let_others_in()
        if matches:
            self._engine.set(key, new, ttl_ms)
        return responses.flag_response(matches)

    def _setnx(self, payload):
        key, ttl_ms, value = requests.parse_set(payload)
        return self._store_if_free(key, value, ttl_ms)

    def _getdel(self, payload):
        reply = self._get(payload)
        self.let_others_in()
        self._engine.delete(payload)
        return reply

    def _lock(self, payload):
        key, owner, ttl_ms = requests.parse_lock(payload)
        return self._store_if_free(key, encode_value(owner.decode()), ttl_ms)

    def _store_if_free(self, key, value, ttl_ms):
        is_free = not self._engine.exists(key)
        self.let_others_in()
        if is_free:
            self._engine.set(key, value, ttl_ms)
        return responses.flag_response(is_free)


class StaleReads(ThreadedDispatcher):
    """Each connection reads a key three times from its own cache."""

    def __init__(self):
        super().__init__()
        self._caches = threading.local()

    def _get(self, payload):
        cache = vars(self._caches)
        uses, reply = cache.get(payload, (0, b""))
        if not uses:
            uses, reply = 3, super()._get(payload)
        cache[payload] = (uses - 1, reply)
        return reply


# --- Within a request -----------------------------------------------------------------------------


class BoolsBecomeInts(ThreadedDispatcher):
    """Stores a Bool as an Int."""

    def _set(self, payload):
        key, ttl_ms, value = requests.parse_set(payload)
        if value[0] == Tag.BOOL:
            value = encode_value(int(value[1]))
        self._engine.set(key, value, ttl_ms)
        return responses.EMPTY_RESPONSE


class FloatsWithoutMinus(ThreadedDispatcher):
    """MSET decodes and encodes, and loses the sign of a zero."""

    def _mset(self, payload):
        ttl_ms, items = requests.parse_mset(payload)
        kept = {
            key: encode_value(0.0) if value == encode_value(-0.0) else value
            for key, value in items.items()
        }
        self._engine.mset(kept, ttl_ms)
        return responses.EMPTY_RESPONSE


class SortedMaps(ThreadedDispatcher):
    """Stores a Map in the order of its keys: an equal value in other bytes."""

    def _set(self, payload):
        key, ttl_ms, value = requests.parse_set(payload)
        if value[0] == Tag.MAP:
            value = encode_value(dict(sorted(decode_value(value).items())))
        self._engine.set(key, value, ttl_ms)
        return responses.EMPTY_RESPONSE


class FoldedKeys(ThreadedDispatcher):
    """Keys without regard to case."""

    def handle(self, opcode, payload):
        return super().handle(opcode, payload.lower() if opcode == Opcode.GET else payload)

    def _set(self, payload):
        key, ttl_ms, value = requests.parse_set(payload)
        self._engine.set(key.lower(), value, ttl_ms)
        return responses.EMPTY_RESPONSE


class PlaneKeys(ThreadedDispatcher):
    """Refuses keys with characters beyond the basic plane."""

    def _set(self, payload):
        key, _, _ = requests.parse_set(payload)
        if any(ord(character) > 0xFFFF for character in key.decode()):
            raise ProtocolError("a strange key")
        return super()._set(payload)


class ReadIsRequest(ThreadedDispatcher):
    """Takes what one read brings for whole requests."""

    def cut(self, reader, data):
        return FrameReader().feed(data)


class SortsSegments(ThreadedDispatcher):
    """Answers the requests of a segment in another order."""

    def cut(self, reader, data):
        return sorted(super().cut(reader, data))


class LooseEnds(ThreadedDispatcher):
    """INCR takes a payload that goes on."""

    def _incr(self, payload):
        return super()._incr(payload[: 10 + int.from_bytes(payload[:2], "big")])


class StoresFirst(ThreadedDispatcher):
    """SET removes what is there before it looks at the value."""

    def _set(self, payload):
        size = int.from_bytes(payload[:2], "big")
        self._engine.delete(payload[2 : 2 + size])
        return super()._set(payload)


class Hangs(ThreadedDispatcher):
    """Never answers a SET that is malformed, nor any client after it."""

    def handle(self, opcode, payload):
        reply = super().handle(opcode, payload)
        if opcode == Opcode.SET and reply[0]:
            threading.Event().wait(0.6)
        return reply


class HalfLives(ThreadedDispatcher):
    """TTLs pass in half their time."""

    def _set(self, payload):
        key, ttl_ms, value = requests.parse_set(payload)
        self._engine.set(key, value, (ttl_ms + 1) // 2)
        return responses.EMPTY_RESPONSE


class LongLives(ThreadedDispatcher):
    """TTLs pass a third of a second later."""

    def _set(self, payload):
        key, ttl_ms, value = requests.parse_set(payload)
        self._engine.set(key, value, ttl_ms and ttl_ms + 333)
        return responses.EMPTY_RESPONSE


class CountsBools(ThreadedDispatcher):
    """INCR takes true for 1."""

    def _add(self, key, delta):
        if self._engine.get(key) == encode_value(True):
            self._engine.set(key, encode_value(1))
        return super()._add(key, delta)


class CasForgetsTtl(ThreadedDispatcher):
    """CAS that swaps removes the TTL when it has none."""

    def _cas(self, payload):
        reply = super()._cas(payload)
        key, ttl_ms, _, _ = requests.parse_cas(payload)
        if reply == responses.TRUE_RESPONSE and not ttl_ms:
            self._engine.expire(key, 0)
        return reply


# --- Lost, silent, or not to be read --------------------------------------------------------------


class LittleEndianReplies(ThreadedDispatcher):
    """Writes the length of a reply in the wrong byte order."""

    def handle(self, opcode, payload):
        reply = super().handle(opcode, payload)
        return reply[:1] + reply[4:0:-1] + reply[5:]


class LittleEndian(LittleEndianReplies):
    """Reads lengths in the wrong byte order as well."""

    def __init__(self):
        super().__init__()
        self._local = threading.local()  # A thread has one connection.

    def cut(self, reader, data):
        stream = getattr(self._local, "stream", b"") + data
        whole = []
        while len(stream) >= 5 and len(stream) - 5 >= int.from_bytes(stream[1:5], "little"):
            end = 5 + int.from_bytes(stream[1:5], "little")
            whole.append((stream[0], stream[5:end]))
            stream = stream[end:]
        self._local.stream = stream
        return whole


class AnswersHalf(ThreadedDispatcher):
    """Leaves out the last byte of every reply."""

    def handle(self, opcode, payload):
        return super().handle(opcode, payload)[:-1]


class NeverRefuses(ThreadedDispatcher):
    """Is silent where it should refuse."""

    def handle(self, opcode, payload):
        reply = super().handle(opcode, payload)
        return b"" if reply[0] in (2, 3) else reply


class HangsAtCas(ThreadedDispatcher):
    """Answers nobody any more after a CAS that is malformed."""

    def handle(self, opcode, payload):
        reply = super().handle(opcode, payload)
        if opcode == Opcode.CAS and reply[0] == 3:
            threading.Event().wait()
        return reply


class DiesAtCas(ThreadedDispatcher):
    """Ends its process at a CAS that is malformed; to be run as one."""

    def handle(self, opcode, payload):
        reply = super().handle(opcode, payload)
        if opcode == Opcode.CAS and reply[0] == 3:
            os._exit(3)
        return reply


def main() -> None:
    """Serve one of these classes in this process: its name, and a port."""
    name, port = sys.argv[1:]
    with serving(globals()[name](), int(port)):
        print("listening", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
