r"""A store full of other people's keys is checked: each keeps its value and its deadline.

The servers are real. Ours must hold exactly what it held before. The sloppy ones act on whatever
they should refuse, in every reading (:mod:`sloppy_server`), and keep a list of what they touched:
nothing in it belongs to another user. On the code before the guard STATUS-001 deleted the key
``"\\0"`` on any server, and counted ``k`` on one that ignores trailing bytes.
"""

from __future__ import annotations

import json
import random
import re
import socket
import time

import pytest

from kvbench.conformance.isolation import PREFIX_START
from kvbench.conformance.profile import Profile
from kvbench.conformance.runner import Options, check_target
from kvbench.conformance.selection import Selection
from kvbench.conformance.targets import discover, open_target
from kvbench.conformance.wire import explore as explore_module
from kvbench.conformance.wire.cases import concurrency as wire_concurrency
from kvbench.conformance.wire.cases import walks as wire_walks
from kvbench.local_server import OWN_SERVER, LocalServer
from kvbench.protocol import requests
from kvbench.protocol.frames import frame
from kvbench.verdicts import Outcome
from tests.conformance.broken_servers import serving
from tests.conformance.sloppy_server import Sloppy, Tolerant, contents, fill

FOREIGN_KEYS = 10_000


def foreign_keys(*, are_texts: bool) -> list[bytes]:
    """Keys that other people may have, the short and the tempting ones first.

    A server that takes only UTF-8 cannot hold the others.
    """
    bytes_alone = [bytes([byte]) for byte in range(1 if are_texts else 0, 256)]
    characters = [chr(point).encode() for point in (*range(0x80, 0x200), 0x20AC, 0x1D11E)]
    tempting = [PREFIX_START[:length].encode() for length in range(1, len(PREFIX_START) + 1)]
    tempting += [b"\0", b"k", b"key", b"\0\1k", b"5", b"57344", b"vec00000:a"]
    tempting += [b"abc", b"\x00\x11\x22\x33", b" HTTP/1.1\r\n", b"x" * 256, b"\0" * 16]
    tempting += [b"\xff", b"\xff" * 3, b"\xff" * 7, b"\0\xff", b"kvbench:probe"]
    keys = dict.fromkeys([*bytes_alone, *characters, *tempting])
    rng = random.Random("foreign")
    while len(keys) < FOREIGN_KEYS:
        keys[b"user:%d:%d" % (len(keys), rng.randrange(10**6))] = None
    if not are_texts:
        return list(keys)
    texts = [key for key in keys if key == key.decode("utf-8", "ignore").encode() and key]
    return [*texts, *[b"more:%d" % number for number in range(FOREIGN_KEYS - len(texts))]]


@pytest.fixture(autouse=True)
def _briefly(monkeypatch):
    """Every case of the suite, with fewer repetitions of what is well-formed anyway."""
    monkeypatch.setattr(explore_module, "SHRINKING_S", 0.2)
    monkeypatch.setattr(wire_walks, "VISITS", 1)
    monkeypatch.setattr(wire_concurrency, "ROUNDS", 6)


def check(url: str, *only: str):
    """The whole suite, both halves, or the clauses of ``only``."""
    selection = Selection(only=only) if only else Selection()
    with open_target(url) as target:
        found = discover(target, Profile())
        options = Options(selection, Profile(), "seed", reply_timeout_s=1.0)
        result = check_target(target, found.capabilities, options)
    errors = [one for one in result.verdicts if one.verdict is Outcome.ERROR]
    assert errors == []
    return result


def answers_to(address: tuple[str, int], keys: list[bytes]) -> dict[bytes, tuple[bytes, float]]:
    """What a server tells of keys: the value's bytes, and when the key ends, in s; 0 for never."""
    found = {}
    with socket.create_connection(address) as peer, peer.makefile("rb") as stream:
        for start in range(0, len(keys), 500):
            some = keys[start : start + 500]
            peer.sendall(b"".join([frame(op, key) for key in some for op in (0x01, 0x45)]))
            for key in some:
                (status, value), (_, left) = reply_of(stream), reply_of(stream)
                assert status == 0, f"{key!r} is gone"
                left_ms = int.from_bytes(left, "big", signed=True)
                found[key] = value, time.monotonic() + left_ms / 1000 if left_ms > 0 else 0.0
    return found


def reply_of(stream) -> tuple[int, bytes]:
    head = stream.read(5)
    return head[0], stream.read(int.from_bytes(head[1:], "big"))


def entries(address: tuple[str, int]) -> int:
    with socket.create_connection(address) as peer, peer.makefile("rb") as stream:
        peer.sendall(frame(0x09, b""))
        return json.loads(reply_of(stream)[1])["entries"]


@pytest.fixture
def own_server():
    server = LocalServer(OWN_SERVER)
    host, _, port = server.wait_for_line("listening on").split()[-1].rpartition(":")
    yield host, int(port)
    server.stop()


@pytest.mark.thorough  # A whole suite, which the gate runs on our server in tests/mutants.
def test_our_server_keeps_ten_thousand_foreign_keys(own_server):
    keys = foreign_keys(are_texts=True)
    assert len(keys) == FOREIGN_KEYS
    pairs = [
        (key.decode(), number, 10_000_000 + number if number % 2 else 0)
        for number, key in enumerate(keys)
    ]
    with socket.create_connection(own_server) as peer, peer.makefile("rb") as stream:
        peer.sendall(requests.msetex_request(b"", pairs))
        assert reply_of(stream) == (0, b"")
    before = answers_to(own_server, keys)
    result = check(f"kvb://{own_server[0]}:{own_server[1]}")
    after = answers_to(own_server, keys)
    assert result.summary == "conforms"
    assert result.counts["MUST"][Outcome.PASSED] > 290, "the whole suite ran"
    assert {key: after[key][0] for key in keys} == {key: before[key][0] for key in keys}
    for key in keys:
        assert after[key][1] == pytest.approx(before[key][1], abs=0.5), "its TTL went on as it was"
        assert bool(after[key][1]) is bool(before[key][1])
    assert entries(own_server) == FOREIGN_KEYS, "nothing is left behind"


@pytest.mark.thorough  # The whole suite on a server that refuses nothing: a minute each.
@pytest.mark.parametrize(
    ("kind", "has_empty_key"),
    [(Sloppy, False), (Tolerant, True)],
)
def test_a_sloppy_server_keeps_ten_thousand_foreign_keys(kind, has_empty_key):
    dispatcher = kind()
    keys = [*foreign_keys(are_texts=False), *([b""] if has_empty_key else [])]
    fill(dispatcher, keys)
    before = contents(dispatcher)
    with serving(dispatcher) as port:
        check(f"127.0.0.1:{port}")
    after = contents(dispatcher)
    assert {key: after.get(key) for key in before} == before
    assert len(dispatcher.touched) > 1000
    # A command of the server's own may take the first two bytes of a key for its length.
    own = re.compile(rb"bench-check:[a-z2-7]{10}")
    foreign = {key for key in dispatcher.touched if not own.search(key)}
    assert foreign - {b""} == set(), "what it touched is ours"
    assert b"" in foreign or has_empty_key, "it acts on half requests"
    left = [key for key in after if key not in before]
    assert all(own.search(key) for key in left)


def test_a_sloppy_server_would_have_touched_them():
    """What the suite sent before: the test above can fail."""
    dispatcher = Tolerant()
    fill(dispatcher, [b"\0", b"k"])
    for opcode in (0x03, 0x05):
        for payload in (b"\0", b"\0\1k" + b"\xff" * 20):
            dispatcher.answer(opcode, payload)
    assert contents(dispatcher).keys() & {b"\0"} == set()
    assert dispatcher.touched >= {b"\0", b"k"}
