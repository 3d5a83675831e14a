"""``kvbench run`` and ``kvbench env``: exit codes, what goes where, one line for a mistake."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from kvbench.bench.presets import PRESETS
from kvbench.cli import main
from kvbench.cli.run import _PRESETS
from kvbench.local_server import OWN_SERVER, LocalServer
from kvbench.results import read_results

QUICK = ["--quick", "--rounds", "2", "--batch-sizes", "10", "--ops", "mget", "--no-keep-awake"]


@pytest.fixture
def kvbench(monkeypatch, capfd):
    """The command line in this process: exit code, standard output, standard error."""

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["kvbench", *map(str, args)])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, *capfd.readouterr()

    return call


def start(*args, **options):
    command = [sys.executable, "-m", "kvbench", "run", *map(str, args)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["memroy://"], "did you mean memory://?"),
        (["memory"], "no target URL; write SCHEME://..., e.g. memory://"),
        (["./cache.db"], "e.g. memory:// or kvb://HOST:PORT"),
        (["memory://", "memory://"], "given twice"),
        (["memory://somewhere"], "takes neither host nor path"),
        (["--batch-sizes", "ten"], "10,100,1000"),
        (["--batch-sizes", ""], "10,100,1000"),
        (["--batch-sizes", "10,,20"], "10,100,1000"),
        (["--batch-sizes", "0"], "batch size 0 is not 1 to 1,000,000"),
        (["--batch-sizes", "-1"], "batch size -1"),
        (["--batch-sizes", "1e9"], "10,100,1000"),
        (["--batch-sizes", "2000000"], "batch size 2000000"),
        (["--ops", "mgett"], "did you mean 'mget'?"),
        (["--ops", "get"], "did you mean 'mget'?"),
        (["--ops", "xyzzy"], "there are: mget, mset, mdel, mexists"),
        (["--value-type", "byte"], "did you mean 'bytes'?"),
        (["--value-size", "-1"], "'-1' is not a size; write 1000000, 4kB or 64MiB"),
        (["--value-size", "99999999999"], "value size 99,999,999,999 is over 64 MiB"),
        (["--value-size", "1073741824", "--batch-sizes", "1"], "over 64 MiB"),
        (["--value-size", "64MiB", "--batch-sizes", "100"], "over 1 GiB"),
        (["--value-size", "big"], "'big' is not a size"),
        (["--key-length", "19"], "20 to 256"),
        (["--key-length", "257"], "20 to 256"),
        (["--rounds", "1"], "1 rounds"),
        (["memory://", "--rtt", "1ms"], "no target is reached over a network"),
        (["--precision", "5"], "precision 500.000% is not 0.1% to 100%"),
        (["--precision", "x"], "'x' is not a share; write 5% or 0.05"),
        (["--max-time", "60s"], "--max-time goes with --precision"),
        (["--precision", "5%", "--rounds", "9"], "exclude each other"),
        (["--rtt", "5"], "add a unit"),
        (["--seed", "-1"], "seed -1 is negative"),
        (["--quick", "--rigorous"], "exclude each other"),
        (["--preset", "batch"], "did you mean 'batch-operations'?"),
        (["--preset", "batch-operations", "memory://"], "fixes targets"),
        (["--preset", "batch-operations", "--batch-sizes", "10"], "fixes targets"),
        (["--ronds", "20"], "did you mean '--rounds'?"),
        (["--port", "1"], "`kvbench run --help` lists them"),
        (["127.0.0.1:9", "kvb://127.0.0.1:9"], "kvb://127.0.0.1:9 is given twice"),
        (["null://", "--value-type", "int"], "null:// stores bytes only"),
        (["memory://", "--output", "missing/results.jsonl"], "cannot write"),
        (["memory://", "--report", "missing/report.md"], "cannot write"),
        (["memory://", "--report", "report.html"], "name it report.md"),
        (["memory://", "--report", "a.md", "--output", "a.md"], "both name a.md"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(kvbench, tmp_path, monkeypatch, args, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = kvbench("run", *args)
    assert code == 2
    assert out == ""
    assert err.startswith("kvbench: ")
    assert err.count("\n") == 1
    assert words in err
    assert list(tmp_path.iterdir()) == []


def test_a_run_prints_tables_and_writes_both_files(kvbench, tmp_path):
    output, report = tmp_path / "results.jsonl", tmp_path / "report.md"
    code, out, err = kvbench(
        "run", "memory://", *QUICK, "--seed", "7", "--output", output, "--report", report
    )
    assert code == 0
    assert "memory://" in out
    assert "Traceback" not in err
    assert err.count("\n") == 2, "a line for each round"
    assert err.startswith("round 1 done in ")
    results = read_results(output)
    assert results.is_complete
    assert [cell.op for cell in results.cells] == ["mget"]
    assert results.header.settings["seed"] == 7
    assert results.header.command.startswith("kvbench run memory:// --quick")
    assert "memory://" in report.read_text()


def test_an_address_is_a_server_of_the_wire_protocol(kvbench, tmp_path):
    """host:port means the same to `run` as to `check`; sizes are written as `serve` takes them."""
    server = LocalServer(OWN_SERVER)
    try:
        address = server.wait_for_line("listening on").split()[-1]
        output = tmp_path / "results.jsonl"
        code, out, _ = kvbench("run", address, *QUICK, "--value-size", "1kB", "--output", output)
    finally:
        server.stop()
    assert code == 0
    assert f"kvb://{address}" in out
    results = read_results(output)
    assert results.header.settings["value_size"] == 1000
    assert results.header.settings["targets"] == [f"kvb://{address}"]


def test_json_alone_goes_to_standard_output(kvbench):
    code, out, err = kvbench("run", "memory://", *QUICK, "--json")
    assert code == 0
    assert json.loads(out)
    assert "round 2 done" in err


def test_a_failed_check_is_code_1_with_its_reason(kvbench, tmp_path):
    code, _, err = kvbench("run", "null://", *QUICK, "--output", tmp_path / "results.jsonl")
    assert code == 1
    assert "without a result: 1" in err
    [cell] = read_results(tmp_path / "results.jsonl").cells
    assert cell.speedup is None
    assert "get gives None" in cell.reason


def test_an_unreachable_target_is_code_4_without_its_password(kvbench, tmp_path):
    pytest.importorskip("redis")
    output = tmp_path / "results.jsonl"
    code, out, err = kvbench("run", "redis://me:secret@127.0.0.1:1", *QUICK, "--output", output)
    assert code == 4
    assert out == ""
    assert "redis://me:***@127.0.0.1:1" in err
    assert "secret" not in err
    assert "Traceback" not in err
    assert not output.exists()


def test_a_full_disk_still_prints_the_report(kvbench):
    code, out, err = kvbench("run", "memory://", *QUICK, "--output", "/dev/full")
    assert code == 1
    assert "memory://" in out
    assert "No space left" in err


def test_typed_values_can_be_measured(kvbench):
    code, out, err = kvbench("run", "memory://", *QUICK, "--value-type", "mixed", "--json")
    assert code == 0, err
    assert json.loads(out)


def test_an_output_that_knows_no_unicode_gets_question_marks():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    with start("memory://", *QUICK, env=environment) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "memory://" in out
    assert out.isascii()


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_prints_what_is_finished_and_is_code_130(tmp_path, presses):
    output = tmp_path / "results.jsonl"
    with start("memory://", *QUICK, "--rounds", "99", "--output", output) as process:
        assert process.stderr.readline().startswith("round 1 done")
        for _ in range(presses):
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err
    results = read_results(output)
    assert 1 <= len(results.rounds) < 99
    assert all(cell.rounds for cell in results.cells)
    if presses == 1:
        assert "interrupted" in err
        assert "memory://" in out
        assert results.footer.outcome == "interrupted"


def test_on_a_terminal_a_bar_shows_and_the_cursor_comes_back():
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "kvbench", "run", "memory://", *QUICK]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=follower, env=environment
    ) as process:
        os.close(follower)
        shown = read_all(leader)
    assert process.returncode == 0
    assert "round 2" in shown
    assert "memory://" in shown
    assert "s left" in shown
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l") >= 0


def read_all(fd):
    parts = []
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            part = os.read(fd, 4096)
        except OSError:  # Linux says EIO when the other side is closed.
            break
        if not part:
            break
        parts.append(part)
    os.close(fd)
    return b"".join(parts).decode(errors="replace")


def test_help_loads_no_numpy_and_no_backend():
    program = (
        "import sys; from kvbench.cli import group\n"
        "group.main(['run', '--help'], standalone_mode=False)\n"
        "print(sorted({'numpy', 'rich', 'msgspec', 'asyncio', 'redis'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "--batch-sizes" in done.stdout
    assert "Examples:" in done.stdout
    loaded = done.stdout.splitlines()[-1]
    assert "numpy" not in loaded
    assert "rich" not in loaded


def test_the_suites_of_the_option_are_those_that_exist():
    assert set(_PRESETS) == set(PRESETS)


def test_env_prints_a_table_and_json(kvbench):
    code, out, _ = kvbench("env")
    assert code == 0
    assert any(line.split()[0] == "codec" for line in out.splitlines())
    code, out, _ = kvbench("env", "--json")
    assert code == 0
    assert json.loads(out)["codec"] in ("compiled", "pure")
