"""``kvbench load``, ``capacity``, ``init``: what they print, exit codes, one line for a mistake."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
import tomllib

import pytest

from kvbench.cli import main
from kvbench.local_server import OWN_SERVER, LocalServer
from kvbench.registry import open_backend
from kvbench.results import read_results
from tests.foreign_stores import redis_server

SHORT = [
    "--duration", "400ms", "--rounds", "2", "--warm-up", "50ms", "--records", "200",
    "--clients", "3", "--no-keep-awake", "--no-pin",
]  # fmt: skip


@pytest.fixture
def kvbench(monkeypatch, capfd):
    """The command line in this process: exit code, standard output, standard error."""

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["kvbench", *map(str, args)])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, *capfd.readouterr()

    return call


@pytest.fixture
def address():
    server = LocalServer(OWN_SERVER)
    yield server.wait_for_line("listening on").split()[-1]
    server.stop()


def start(*args, **options):
    command = [sys.executable, "-m", "kvbench", *map(str, args)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "no target: give one or more"),
        (["kbv://"], "did you mean kvb://?"),
        (["kvb://", "--rate", "0"], "'0' is not a rate; write 2000/s"),
        (["kvb://", "--rate", "-5"], "is not a rate"),
        (["kvb://", "--rate", "fast"], "is not a rate"),
        (["kvb://", "--clients", "0"], "clients 0 is not 1"),
        (["kvb://", "--clients", "many"], "not a valid integer"),
        (["kvb://", "--workload", "ycsb-e"], "there are: ycsb-a"),
        (["kvb://", "--workload", "ycsb_b"], "did you mean 'ycsb-b'?"),
        (["kvb://", "--mix", "gte=90"], "did you mean 'get'?"),
        (["kvb://", "--mix", "get"], "write get=90,set=10"),
        (["kvb://", "--mix", "get=1,get=2"], "'get' is given twice"),
        (["kvb://", "--mix", "get=0"], "all shares are 0"),
        (["kvb://", "--keys", "zipf"], "did you mean 'zipfian'?"),
        (["kvb://", "--arm", "batch"], "needs --batch-size"),
        (["kvb://", "--batch-window", "1ms", "--rate", "9 keys/s"], "the batch arm"),
        (["kvb://", "--batch-size", "9", "--batch-window", "1ms"], "--rate '20k keys/s'"),
        (["kvb://", "--batch-size", "9", "--batch-window", "1"], "add a unit"),
        (["kvb://", "--batch-size", "9", "--batch-window", "0"], "forms no batches"),
        (["kvb://", "--duration", "10"], "add a unit"),
        (["kvb://", "--value-size", "big"], "write 100, 1kB, 8-48"),
        (["kvb+async://"], "load takes the synchronous kvb://"),
        (["sqlite://", "--driver", "wire"], "--driver wire speaks kvb://"),
        (["kvb://", "--report", "report.html"], "--report writes Markdown"),
        (["kvb://", "--pipelin", "3"], "--pipeline"),
        (["kvb://", "kvb://"], "kvb:// is given twice"),
        (["kvb://", "--config", "nowhere.toml"], "cannot read nowhere.toml"),
    ],
)
def test_a_mistake_is_one_line(kvbench, args, words):
    code, out, err = kvbench("load", *args)
    assert code == 2
    assert out == ""
    assert words in err and err.count("\n") == 1, err


def test_a_closed_loop_in_the_shape_of_the_results(kvbench, tmp_path):
    output = tmp_path / "load.jsonl"
    arms = ["--batch-size", "10", "--arm", "individual,pipelined,batch"]
    code, out, err = kvbench("load", "kvb://", *SHORT, *arms, "--output", output, "--json")
    assert code == 0, err
    [first, *_] = loads = json.loads(out)["loads"]
    assert [(one["arm"], one["batch_size"], one["pipeline"]) for one in loads] == [
        ("individual", 1, 1), ("pipelined", 1, 10), ("batch", 10, 1)
    ]  # fmt: skip
    assert first["type"] == "load" and first["target"] == "kvb://" and first["clients"] == 3
    for one in loads:
        for rate in (one["requests_per_s"], one["keys_per_s"]):
            assert rate["low"] <= rate["estimate"] <= rate["high"]
        [(kind, latency)] = one["latency"].items()
        assert kind == "service_time"
        assert 0 < latency["p50_ns"] <= latency["p90_ns"] <= latency["max_ns"]
        assert latency["samples"] == one["calls"] > 0
        assert one["errors"] == {} and one["rounds"] == 2
    written = [one for line in output.read_text().splitlines() if (one := json.loads(line))]
    assert [one for one in written if one["type"] == "load"][-3:] == loads
    assert len(read_results(output).loads) == 3


def test_an_open_loop_keeps_its_rate_and_reports_in_every_format(kvbench, tmp_path):
    output, report = tmp_path / "load.jsonl", tmp_path / "load.md"
    rate = ["--rate", "300/s", "--arrivals", "constant", "--mix", "get=50,set=50"]
    code, out, err = kvbench(
        "load", "kvb://", *SHORT, *rate, "--output", output, "--report", report
    )
    assert code == 0, err
    assert "Latency since the intended time" in out and "Latency since sending" in out
    assert "asked for" in out and "300" in out
    [load] = read_results(output).loads
    assert load.rate_per_s == 300 and load.calls + load.unsent == 120
    assert set(load.latency) == {"since_intended", "since_sent"}
    assert "| `kvb://` | individual |" in report.read_text()
    code, log, err = kvbench("report", output, "--format", "hdr-log")
    assert code == 0 and log.startswith("#[Histogram log format"), err
    assert log.count("\nTag=kvb:") == 2
    code, again, _ = kvbench("report", output)
    assert code == 0 and "Latency since the intended time" in again


def test_a_run_has_no_hdr_log(kvbench, tmp_path):
    output = tmp_path / "run.jsonl"
    quick = ["--quick", "--rounds", "2", "--batch-sizes", "10", "--ops", "mget"]
    assert (
        kvbench("run", "memory://", *quick, "--no-keep-awake", "--no-pin", "--output", output)[0]
        == 0
    )
    code, _, err = kvbench("report", output, "--format", "hdr-log")
    assert code == 2 and "kvbench load --output" in err


@pytest.mark.thorough
def test_keys_go_away_and_foreign_ones_stay(kvbench, address):
    with open_backend(f"kvb://{address}") as store:
        store.mset({"mine": 1, "kb:": 2})
        mix = ["--mix", "get=1,set=1,insert=1,delete=1,rmw=1,exists=1", "--batch-size", "5"]
        code, _, err = kvbench("load", f"kvb://{address}", *SHORT, *mix)
        assert code == 0, err
        assert store.info()["entries"] == 2
        assert store.mget(["mine", "kb:"]) == [1, 2]


@pytest.mark.thorough  # Many windows: the tests beside it do with one or two.
def test_several_stores_side_by_side_with_both_drivers(kvbench, tmp_path):
    with redis_server() as url:
        for driver in ("client", "wire"):
            code, out, err = kvbench("load", url, "kvb://", *SHORT, "--driver", driver, "--json")
            assert code == 0, err
            assert [one["target"] for one in json.loads(out)["loads"]] == [url, "kvb://"]
    code, out, err = kvbench("load", f"sqlite://{tmp_path}/kv.db", "memory://", *SHORT, "--json")
    assert code == 0, err
    assert [one["clients"] for one in json.loads(out)["loads"]] == [1, 1], "they take turns"


@pytest.mark.thorough
def test_what_a_client_cannot_do_is_a_reason(kvbench):
    code, out, err = kvbench(
        "load", "kvb://", *SHORT, "--batch-size", "5", "--pipeline", "2", "--json"
    )
    assert code == 1 and "without a result: 1" in err
    [load] = json.loads(out)["loads"]
    assert load["reason"] == "its Python client does not pipeline batches; --driver wire does"
    assert load["keys_per_s"] is None
    wire = ["--batch-size", "5", "--pipeline", "2", "--driver", "wire"]
    assert kvbench("load", "kvb://", *SHORT, *wire)[0] == 0


@pytest.mark.thorough  # Many windows: the tests beside it do with one or two.
def test_workers_share_the_clients(kvbench):
    code, out, err = kvbench(
        "load", "kvb://", *SHORT, "--workers", "2", "--rate", "200/s", "--json"
    )
    assert code == 0, err
    [load] = json.loads(out)["loads"]
    assert load["calls"] + load["unsent"] == pytest.approx(80, abs=40)


@pytest.mark.thorough
def test_batch_formation_has_a_row_for_each_window(kvbench):
    windows = ["--batch-size", "50", "--batch-window", "5ms,1ms", "--rate", "2k keys/s"]
    code, out, err = kvbench("load", "kvb://", *SHORT, *windows, "--json")
    assert code == 0, err
    one, five = json.loads(out)["loads"]
    assert (one["batch_window_ns"], five["batch_window_ns"]) == (1_000_000, 5_000_000)
    assert 1 < one["formed_keys"] < five["formed_keys"]
    assert five["expected_wait_ns"] == pytest.approx(2_727_272, rel=0.001)
    assert five["wait_ns"] == pytest.approx(five["expected_wait_ns"], rel=0.3)


@pytest.mark.thorough  # A search measures for half a minute.
def test_capacity_says_what_batching_buys(kvbench, tmp_path):
    output = tmp_path / "capacity.jsonl"
    code, out, err = kvbench(
        "capacity", "kvb://", "--slo", "p50<300ms", *SHORT[2:], "--probe", "300ms",
        "--batch-size", "20", "--arm", "individual,batch", "--output", output,
    )  # fmt: skip
    assert code == 0, err
    single, batch = read_results(output).capacities
    assert single.objective == batch.objective == "p50 < 300ms"
    assert single.gain is None and batch.gain is not None and batch.gain.estimate > 1
    assert len(batch.keys_per_s.rounds) == 2 and len(batch.points) > 4
    assert "Capacity within p50 < 300ms" in out
    assert "the keys/s within" in " ".join(out.split())


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["kvb://"], "--slo"),
        (["kvb://", "--slo", "p99"], "write a percentile and a limit"),
        (["kvb://", "--slo", "p9<1ms"], "no percentile 'p9'"),
    ],
)
def test_an_objective_is_needed(kvbench, args, words):
    code, _, err = kvbench("capacity", *args)
    assert code == 2 and words in err and err.count("\n") == 1


@pytest.mark.thorough
def test_a_file_of_options(kvbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = kvbench("init")
    assert code == 0 and "wrote bench.toml" in err
    text = (tmp_path / "bench.toml").read_text()
    assert tomllib.loads(text) == {"targets": ["kvb://"]}
    assert kvbench("init")[0] == 2, "it is not replaced"
    assert kvbench("init", "--force")[0] == 0
    # All its examples are values that the options take.
    lines = [line.removeprefix("# ") if " = " in line else line for line in text.splitlines()]
    every = [line for line in lines if not line.startswith(("# ", "batch-window", "dask"))]
    short = [
        "duration = '400ms'", "rounds = 2", "records = 200", "clients = 3", "pipeline = 1",
        "arm = ['individual']", "warm_up = '50ms'", "no-keep-awake = true", "no-pin = true",
    ]  # fmt: skip
    names = {line.split(" = ")[0].replace("_", "-") for line in short}
    every = [line for line in every if line.split(" = ")[0] not in names]
    (tmp_path / "all.toml").write_text("\n".join([*every, *short]))
    code, out, err = kvbench("load", "--config", "all.toml", "--rate", "200/s", "--json")
    assert code == 0, err
    [load] = json.loads(out)["loads"]
    assert load["workload"] == "ycsb-b, changed" and load["rate_per_s"] == 200


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("client = 3", "no option 'client'; did you mean 'clients'?"),
        ("clients = ", "is not TOML"),
        ("clients = {a = 1}", "clients is neither a text"),
        ("rate = 0", "is not a rate"),
        ("mix = {gte = 3}", "did you mean 'get'?"),
        ("output = 'x'", "no option 'output'"),
    ],
)
def test_a_wrong_file_of_options_is_one_line(kvbench, tmp_path, text, words):
    path = tmp_path / "bench.toml"
    path.write_text(text)
    code, _, err = kvbench("load", "kvb://", "--config", path)
    assert code == 2 and words in err and err.count("\n") == 1, err


@pytest.mark.parametrize("command", [["load"], ["capacity", "--slo", "p99<5ms"]])
def test_no_server_there(kvbench, command):
    code, _, err = kvbench(*command, "kvb://127.0.0.1:1")
    assert code == 4 and err.count("\n") == 1


@pytest.mark.thorough
def test_a_store_that_refuses_so_many_clients(kvbench):
    with redis_server("--maxclients", "10") as url:
        code, _, err = kvbench(
            "load", url, "--duration", "400ms", "--rounds", "2", "--clients", "50"
        )
    assert code == 4 and "of 50" in err and err.count("\n") == 1, err


def test_ctrl_c_keeps_what_is_finished(tmp_path):
    output = tmp_path / "load.jsonl"
    run = start(
        "load", "kvb://", *SHORT[2:], "--rounds", "500", "--duration", "100s", "--output", output
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and '"type":"load"' not in _text(output):
        time.sleep(0.1)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert "interrupted: the report has what was finished" in err
    assert "INTERRUPTED" in out and "Throughput" in out
    results = read_results(output)
    assert results.footer is not None and results.footer.outcome == "interrupted"
    assert results.loads[0].keys_per_s is not None


def _text(path):
    return path.read_text() if path.exists() else ""


def test_a_server_killed_in_the_middle_is_errors_and_a_report(tmp_path):
    output = tmp_path / "load.jsonl"
    command = [sys.executable, "-m", "kvbench", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        line = next(line for line in server.stdout if "listening on" in line)
        url = f"kvb://{line.split()[-1]}"
        run = start("load", url, *SHORT[2:], "--duration", "6s", "--output", output)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and '"type":"round"' not in _text(output):
            time.sleep(0.05)
        time.sleep(1.5)
        server.kill()
        out, err = run.communicate(timeout=120)
    assert run.returncode in (0, 4), "lost in the last window, or before it"
    assert "Traceback" not in err
    [load] = read_results(output).loads
    assert load.keys_per_s is not None
    assert load.errors.get("connection", 0) > 0
    assert load.silence_ns >= 200_000_000
    assert "no call finished for" in " ".join(out.split())


@pytest.mark.thorough
def test_a_full_disk_is_one_line(tmp_path):
    run = start("load", "kvb://", *SHORT, "--output", "/dev/full")
    out, err = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "No space left" in err and "Traceback" not in err
    assert "Throughput" in out


@pytest.mark.thorough  # Many windows: the tests beside it do with one or two.
def test_a_narrow_terminal_with_a_live_view():
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm"}
    run = subprocess.Popen(
        [sys.executable, "-m", "kvbench", "load", "kvb://", *SHORT, "--duration", "2s"],
        stdout=subprocess.PIPE, stderr=theirs, env=environment,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    out = run.communicate(timeout=60)[0].decode()
    os.close(ours)
    assert run.returncode == 0
    assert b"keys/s" in seen
    assert max(map(len, out.splitlines())) <= 60
