"""``kvbench replay``: what it shows, and the exit code: is the fault still there."""

from __future__ import annotations

import sys

import pytest

from kvbench import specs
from kvbench.cli import main
from kvbench.local_server import free_port
from tests.cli.wrong_servers import RightServer, WrongPong, serving


class DecrUp(RightServer):
    """DECR counts up: a case with a model sees it, and no single reply is wrong by itself."""

    def _decr(self, payload):
        return self._incr(payload)


@pytest.fixture
def kvbench(monkeypatch, capfd, tmp_path):
    """The command line in this process: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["kvbench", *map(str, args)])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, *capfd.readouterr()

    return call


@pytest.fixture(scope="module")
def right():
    with serving(RightServer()) as port:
        yield f"127.0.0.1:{port}"


def test_broken_and_mended(kvbench, right):
    with serving(WrongPong()) as port:
        wrong = f"127.0.0.1:{port}"
        assert kvbench("check", wrong, "--only", "PING-001")[0] == 1
        file = "kvbench-failures/wire-vector-ping.json"
        code, output, _ = kvbench("replay", wrong, file)
    assert code == 1
    assert "PING-001 (MUST) PING MUST answer OK" in output
    assert f"then, at {wrong}: expected" in output
    assert "expected  00 OK, payload 50 4f 4e 47" in output
    assert "got       00 OK, payload 70 6f 6e 67" in output
    assert output.endswith("It still differs.\n")
    for address in (right, f"kvb://{right}"):
        code, output, _ = kvbench("replay", address, file)
        assert code == 0
        assert output.endswith("It behaves: nothing differs.\n")
        assert "OK 'PONG'" in output


def test_where_no_reply_tells_the_case_judges(kvbench, right):
    with serving(DecrUp()) as port:
        wrong = f"127.0.0.1:{port}"
        assert kvbench("check", wrong, "--only", "DECR-002", "--seed", "s")[0] == 1
        file = "kvbench-failures/wire-walks-decr-002.json"
        code, output, _ = kvbench("replay", wrong, file)
    assert code == 1
    assert "the case wire.walks.decr-002 runs again, seed s" in output
    code, output, _ = kvbench("replay", right, file)
    assert code == 0
    assert "  passed\n" in output


def test_a_case_that_no_longer_exists_is_reported(kvbench, right, tmp_path):
    with serving(DecrUp()) as port:
        kvbench("check", f"127.0.0.1:{port}", "--only", "DECR-002")
    file = tmp_path / "kvbench-failures" / "wire-walks-decr-002.json"
    file.write_text(file.read_text().replace("wire.walks.decr-002", "wire.walks.gone"))
    code, _, error = kvbench("replay", right, file)
    assert code == 2
    assert "no case wire.walks.gone" in error


def test_files_of_vectors_play_too(kvbench, right):
    code, output, _ = kvbench("replay", right, specs.directory() / "vectors" / "counters.json")
    assert code == 0
    assert output.count("step 1 ") > 3


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["nowhere", "x.json"], 2, "no address of a server"),
        (["127.0.0.1:1", "x.json"], 2, "cannot be read"),
        (["memory://", "x.json"], 2, "no address of a server"),
        (["127.0.0.1:1"], 2, "Missing argument"),
    ],
)
def test_a_mistake_is_one_line(kvbench, args, code, words):
    found, output, error = kvbench("replay", *args)
    assert found == code
    assert output == ""
    assert words in error
    assert error.count("\n") == 1


def test_a_file_without_a_conversation(kvbench, right):
    code, _, error = kvbench("replay", right, specs.directory() / "vectors" / "values.json")
    assert code == 2
    assert "no conversation" in error


def test_an_address_where_no_server_listens(kvbench):
    file = specs.directory() / "vectors" / "counters.json"
    code, _, error = kvbench("replay", f"127.0.0.1:{free_port()}", file)
    assert code == 4
    assert "refused" in error
