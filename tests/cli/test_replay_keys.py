"""``kvbench replay`` and files of others: foreign keys stay, and no number makes it run long."""

from __future__ import annotations

import json
import sys

import pytest

from kvbench import specs
from kvbench.cli import main
from kvbench.protocol.frames import frame
from kvbench.specs import KEY_TOKEN
from tests.cli.wrong_servers import RightServer, serving

TOKEN = KEY_TOKEN.encode()


@pytest.fixture
def server():
    dispatcher = RightServer()
    dispatcher._engine.set(b"k", b"\0", 10_000_000)
    dispatcher._engine.set(b"\0", b"\0")
    with serving(dispatcher) as port:
        yield dispatcher, f"127.0.0.1:{port}"


@pytest.fixture
def replay(monkeypatch, capfd, tmp_path, server):
    """Replay a vector; exit code and standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*options, keys=(), effort=None, **step):
        vector = {"id": "x", "clauses": [], "description": "", "steps": [step], "keys": list(keys)}
        file = {"schema": "kvbench-vectors/1", "area": "x", "vectors": [vector]}
        if effort is not None:
            names = ("case", "target", "expected", "actual", "seed")
            lists = {"clauses": [], "transcript": []}
            flags = {"is_judged": True, "is_strict": False}
            file["failure"] = {**dict.fromkeys(names, "x"), **lists, **flags, "effort": effort}
        (tmp_path / "f.json").write_text(json.dumps(file))
        monkeypatch.setattr(sys, "argv", ["kvbench", "replay", server[1], "f.json", *options])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, capfd.readouterr().err

    return call


def held(dispatcher) -> dict[bytes, int | None]:
    engine = dispatcher._engine
    return {key: engine._deadlines.get(key) for key in engine._data}


ANY = [{"status": ["OK", "NULL", "ERROR", "INVALID"], "payload": {}}]


@pytest.mark.parametrize(
    "step",
    [
        {"keys": ["k"]},
        {"keys": ["k", f"{KEY_TOKEN}a"]},
        {"send": frame(0x03, b"k").hex()},
        {"send": frame(0x05, b"\0\1k" + bytes(8)).hex()},
        {"send": frame(0x10, b"\0\1\0\1k").hex()},
        {"send": "03 000000ff 6b", "finish": True},
        {"send": (frame(0x01, b"k") + frame(0x03, b"k")).hex()},
        {"send": frame(0x03, TOKEN).hex(), "pieces": 9},
    ],
)
def test_a_foreign_key_is_refused_in_one_line(replay, server, step):
    before = held(server[0])
    code, error = replay(**step)
    assert code == 2
    assert error.count("\n") == 1
    assert "--allow-any-key" in error
    assert held(server[0]) == before


def test_with_the_option_it_plays_and_deletes(replay, server):
    assert replay("--allow-any-key", send=frame(0x03, b"\0").hex(), expect=ANY)[0] == 0
    assert b"\0" not in held(server[0])
    assert replay("--allow-any-key", keys=["k"])[0] == 0
    assert b"k" not in held(server[0])


def test_what_only_reads_plays(replay, server):
    before = held(server[0])
    assert replay(send=frame(0x01, b"k").hex(), expect=ANY)[0] == 0
    assert held(server[0]) == before


def test_the_empty_key_is_left_alone_when_it_is_there(replay, capfd):
    class HasEmptyKey(RightServer):
        def _get(self, payload):
            return super()._get(payload) if payload else b"\0\0\0\0\1\0"

    assert replay(send="03 00000000", expect=ANY)[0] == 0, "on a server that refuses it"
    with serving(HasEmptyKey()) as port:
        sys.argv[2] = f"127.0.0.1:{port}"
        with pytest.raises(SystemExit) as left:
            main()
    error = capfd.readouterr().err
    assert left.value.code == 2
    assert error.count("\n") == 1
    assert "the empty key holds a value" in error
    assert "--allow-any-key" in error


HUGE = 2**62


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"wait_ms": -1}, "wait_ms is 0 to"),
        ({"wait_ms": 10**18}, "wait_ms is 0 to"),
        ({"wait_ms": 1e18}, "f.json is neither"),
        ({"send": [{"repeat": "00", "times": HUGE}]}, "bytes are more than"),
        ({"send": [{"repeat": "00", "times": -1}]}, "times is at least 0"),
        ({"expect": [{"status": ["OK"], "payload": [{"repeat": "00", "times": HUGE}]}]}, "more"),
        ({"send": [{"repeat": "00", "times": 10**7}], "pieces": 1}, "too many"),
        ({"pieces": -1}, "too many"),
        ({"expect": [{"status": ["OK"], "payload": {"starts": "zz"}}]}, "f.json is neither"),
        ({"effort": HUGE}, "effort is 1 to 10"),
        ({"effort": 0}, "effort is 1 to 10"),
        ({"keys": ["k"]}, "would delete the key 'k'"),
    ],
)
def test_a_hostile_file_gets_one_line(replay, step, words):
    code, error = replay(**step)
    assert code == 2
    assert error.count("\n") == 1
    assert words in error


def test_too_many_steps(replay, tmp_path, monkeypatch, capfd, server):
    vector = {"id": "x", "clauses": [], "description": "", "steps": [{}] * 2001}
    file = {"schema": "kvbench-vectors/1", "area": "x", "vectors": [vector]}
    (tmp_path / "g.json").write_text(json.dumps(file))
    monkeypatch.setattr(sys, "argv", ["kvbench", "replay", server[1], str(tmp_path / "g.json")])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "more than 2000" in capfd.readouterr().err


def test_every_file_of_vectors_of_ours_passes_the_guard():
    from kvbench.conformance.wire.vectors import check_keys, check_numbers

    for vector in specs.vectors():
        check_numbers(vector)
        check_keys(vector)
