"""What a peer, an adapter or a file has written never controls a terminal, forges a line or floods.

Each way that foreign text comes in is tried with every way that it goes out: standard output and
error, and each kind of file.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging
import os
import pty
import re
import socketserver
import subprocess
import sys
import threading
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvbench.cli import main
from kvbench.foreign_text import CHARS_MAX
from kvbench.results import (
    HEADLINE,
    SCHEMA,
    ArmFigures,
    Baselines,
    Cell,
    Curve,
    Figure,
    Footer,
    Header,
    Misfit,
    Round,
    TargetRecord,
    TwoGroups,
    encode_record,
)  # fmt: skip
from kvbench.server.logs import JsonFormatter, TextFormatter
from kvbench.verdicts import Conformance, Exchange, Failure, Outcome, TargetVerdicts, Verdict
from tests.cli import leaky_backends
from tests.cli.leaky_backends import EVIL
from tests.cli.wrong_servers import RightServer, serving

RUN = ("--quick", "--rounds", "2", "--batch-sizes", "10", "--no-keep-awake")


@pytest.fixture
def kvbench(monkeypatch, tmp_path):
    """The command line in this process, in an empty directory: code, output, error."""
    monkeypatch.chdir(tmp_path)

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["kvbench", *map(str, args)])
        out, err = io.StringIO(), io.StringIO()
        streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
        with streams[0], streams[1], pytest.raises(SystemExit) as left:
            main()
        return left.value.code, out.getvalue(), err.getvalue()

    return call


def assert_harmless(*texts, chars_max=200_000):
    for text in texts:
        bad = {char for char in text if not char.isprintable() and char != "\n"}
        assert not bad, text[max(0, text.find(min(bad)) - 200) :][:400]
        assert not [line for line in text.splitlines() if line.startswith("kvbench: forged")]
        assert len(text) < chars_max


def without_code(markdown):
    """Markdown without its code, in which nothing is markup (CommonMark, sections 4.5 and 6.1)."""
    markdown = re.sub(r"(?ms)^(`{3,})text$.*?^\1$", "", markdown)
    return re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", markdown)


# --- From files -----------------------------------------------------------------------------------


def evil_results(text=EVIL, number=1.5, size=10):
    figure = Figure(number, number, number, [number])
    arm = ArmFigures(figure, figure, figure, number, TwoGroups(number, size, number, size))
    facts = {text: text, "x": [text], "y": {text: text}}
    return [
        Header(SCHEMA, text, text, facts, facts, text, text, text),
        Baselines(figure, figure, figure, figure, True),
        TargetRecord(text, True, {text: text}, figure),
        TargetRecord(f"b{text}", False, {}),
        Cell(
            target=text, op=text, batch_size=size, batch_kind=text, arms={text: arm, "batch": arm},
            ratios={text: figure, HEADLINE: figure}, speedup=figure, waited=number, drift=number,
            is_stable=False, round_trips=number, round_trips_at=size,
        ),
        Cell(target=f"b{text}", op="mget", batch_size=size, batch_kind=text, reason=text),
        Curve(
            target=text, op=text, fixed_ns=figure, per_key_ns=figure, half_gain_size=figure,
            limit=figure, break_even_size=figure, misfits=[Misfit(size, number)],
        ),
        Round(1, number, text),
        Footer("interrupted", number, 2, number, text, [text]),
    ]  # fmt: skip


def evil_conformance(text=EVIL):
    exchange = Exchange(1.0, text, text, text, text)
    failure = Failure(text, text, (exchange,), text, text, text)
    verdicts = tuple(
        [
            Verdict(clause, level, f"{text}{place}", outcome, text, failure)
            for place, outcome in enumerate(Outcome)
            for clause, level in (("GET-001", "MUST"), (text, text))
        ]
    )
    counts = {"MUST": {"failed": 1}, text: {text: 1}}
    targets = [
        TargetVerdicts(
            name, (text,), False, "does not conform", counts, verdicts, {text: text}, (text,)
        )
        for name in (text, "memory://", f"redis://{text}")
    ]
    return Conformance("kvbench-conformance/2", text, text, text, tuple(targets))


def evil_repro(text=EVIL):
    step = {
        "note": text, "send": "07 00 00 00 00", "expect": [{"status": ["OK"], "payload": "00"}],
    }  # fmt: skip
    return {
        "schema": "kvbench-vectors/1",
        "area": text,
        "vectors": [
            {"id": text, "clauses": [text], "description": text, "steps": [step], "keys": []}
        ],
        "failure": {
            "case": text, "clauses": [{"id": text, "level": text, "text": text}], "target": text,
            "expected": text, "actual": text, "is_judged": True, "is_strict": False, "seed": text,
            "effort": 1, "transcript": [], "suite_version": text, "python": text,
        },
    }  # fmt: skip


def write_results(path, **changes):
    path.write_bytes(b"".join(map(encode_record, evil_results(**changes))))


def test_a_results_file(kvbench):
    """A title sequence in ``batch_kind`` reached the terminal, and 60 MiB were printed whole."""
    write_results(Path("r.jsonl"))
    shown = {}
    for name in ("terminal", "markdown", "json"):
        code, out, err = kvbench("report", "r.jsonl", "--format", name)
        assert (code, err) == (0, "")
        assert kvbench("report", "r.jsonl", "--format", name, "--output", "out")[0] == 0
        assert_harmless(out, Path("out").read_text())
        shown[name] = out
    assert "[red]x[/red] :smile:" in shown["terminal"].replace("\n", " ")
    assert "<script>" not in without_code(shown["markdown"])
    rows = [line for line in shown["markdown"].splitlines() if line.startswith("|")]
    columns = [len(line.replace(r"\|", "").split("|")) for line in rows]
    for same in itertools.pairwise(zip(rows, columns, strict=True)):
        assert same[0][1] == same[1][1] or set(same[1][0]) <= set("|:- ") or "|" in same[1][0]
    assert json.loads(shown["json"])["header"]["preset"].startswith(r"\x1b]0;owned\x07 [red]x")
    assert kvbench("report", "r.jsonl", "--format", "html", "--output", "page.html")[0] == 0
    page = Path("page.html").read_text()
    assert "\x1b" not in page and "<script" not in page


@pytest.mark.thorough
def test_a_long_text_in_a_file_is_cut(kvbench):
    write_results(Path("r.jsonl"), text="x" * 3_000_000)
    for name in ("terminal", "markdown", "json"):
        code, out, _ = kvbench("report", "r.jsonl", "--format", name)
        assert code == 0 and len(out) < 100 * CHARS_MAX
        assert "cut: 3,000,000 characters in all" in " ".join(out.replace("\\", "").split())


@pytest.mark.thorough
def test_a_verdicts_file(kvbench):
    Path("v.json").write_bytes(msgspec.json.encode(evil_conformance()))
    code, out, err = kvbench(
        "run", "memory://", "kvb://", *RUN, "--conformance", "v.json", "--output", "r.jsonl",
        "--report", "r.md",
    )  # fmt: skip
    assert code == 1, err
    assert_harmless(out, err, Path("r.jsonl").read_text(), Path("r.md").read_text())
    assert "does not conform: GET-001 failed" in out.replace("\n", " ")


def test_every_report_of_verdicts(kvbench):
    """The renderers themselves, fed as a check feeds them."""
    from kvbench.foreign_text import clean
    from kvbench.report import conformance_html, conformance_junit, conformance_markdown

    found = clean(evil_conformance())
    html = conformance_html.render_html(found)
    xml = conformance_junit.render_junit(found)
    markdown = conformance_markdown.render_markdown(found)
    assert_harmless(xml, markdown, html.replace("\nkvbench: forged", ""))  # A history has lines.
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert "<script>" not in without_code(markdown)
    ElementTree.fromstring(xml)


def test_a_replay_file(kvbench):
    Path("f.json").write_bytes(msgspec.json.encode(evil_repro()))
    with serving(RightServer()) as port:
        code, out, err = kvbench("replay", f"127.0.0.1:{port}", "f.json")
    assert code == 1, err
    assert_harmless(out, err)
    assert r"\x1b]0;owned\x07 [red]x[/red]" in out


NESTED = ["[" * 100_000, '{"a":' * 100_000, '{"type": ' + "[" * 100_000, '{"targets":' * 100_000]


@pytest.mark.parametrize("content", NESTED, ids=["lists", "objects", "in a record", "in targets"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_deeply_nested_file_is_one_line(kvbench, content, end):
    """Also as the last line of a results file, where half a line would be left out."""
    Path("f.json").write_text(content + end)
    whole = b"".join(map(encode_record, evil_results(text="x")))
    Path("r.jsonl").write_bytes(whole[: whole.rindex(b'{"type":"footer"')] + content.encode())
    for command in (
        ("report", "f.json"),
        ("report", "r.jsonl"),
        ("run", "memory://", *RUN, "--conformance", "f.json"),
        ("replay", "127.0.0.1:1", "f.json"),
        ("check", "memory://", "--profile", "f.json"),
    ):
        code, out, err = kvbench(*command)
        assert (code, out) == (2, "") and err.count("\n") == 1, (command, err)


wild = st.floats() | st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324])


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(number=wild, size=st.integers(-(2**60), 2**60))
@pytest.mark.thorough
def test_no_figure_in_a_file_is_a_traceback(kvbench, number, size):
    """JSON has no NaN: msgspec writes null for it, which is damage, in one line."""
    write_results(Path("r.jsonl"), text="x", number=number, size=size)
    for name in ("terminal", "markdown", "json"):
        code, out, err = kvbench("report", "r.jsonl", "--format", name)
        assert (code == 0 and out and not err) or (code == 2 and err.count("\n") == 1)


# --- From peers and adapters ----------------------------------------------------------------------


class EvilPeer(socketserver.ThreadingTCPServer):
    """A server of the wire protocol that refuses everything, with a message of its own choice."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, message, status=2):
        super().__init__(("127.0.0.1", 0), _Refuses)
        self.reply = bytes([status]) + len(message).to_bytes(4, "big") + message


class _Refuses(socketserver.BaseRequestHandler):
    def handle(self):
        # A peer that hangs up in the middle is no failure of this server.
        with contextlib.suppress(OSError):
            while self.request.recv(65_536):
                self.request.sendall(self.server.reply)


@contextlib.contextmanager
def evil_peer(*args):
    with EvilPeer(*args) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@pytest.mark.parametrize("message", [EVIL.encode(), b"\xff\xfe" + EVIL.encode()])
@pytest.mark.parametrize("status", [0, 2, 3])
def test_what_a_server_answers(kvbench, message, status):
    with evil_peer(message, status) as address:
        results = [
            kvbench("run", f"kvb://{address}", *RUN, "--output", "r.jsonl"),
            kvbench(
                "check", address, "--only", "GET-*", "--only", "PING-*", "--only", "INFO-*",
                "--json", "v.json", "--junit", "v.xml", "--markdown", "v.md", "--html", "v.html",
                "--badge", "v.svg", "--write-profile", "p.toml",
            ),
        ]  # fmt: skip
        for repro in Path("kvbench-failures").glob("*.json"):
            results.append(kvbench("replay", address, repro))
    assert all(code for code, _, _ in results)
    written = [text for _, out, err in results for text in (out, err)]
    files = [path for path in Path().rglob("*") if path.is_file()]
    assert_harmless(*written, *[path.read_text() for path in files], chars_max=1_000_000)


@pytest.mark.thorough  # Half a minute of copying.
def test_a_message_of_60_mib_is_cut(kvbench):
    with evil_peer(b"x" * (60 << 20)) as address:
        code, out, err = kvbench("run", f"kvb://{address}", *RUN, "--output", "r.jsonl")
    assert code and len(out) + len(err) < 20 * CHARS_MAX
    assert not Path("r.jsonl").exists() or Path("r.jsonl").stat().st_size < 20 * CHARS_MAX


def test_what_an_adapter_says(kvbench, monkeypatch, tmp_path_factory):
    leaky_backends.register(monkeypatch, tmp_path_factory.mktemp("adapters") / "package")
    code, out, err = kvbench("run", "evil://", *RUN, "--output", "r.jsonl", "--report", "r.md")
    assert code == 1
    assert_harmless(out, err, Path("r.jsonl").read_text(), Path("r.md").read_text())
    code, out, err = kvbench("check", "evil://", "--only", "BMSET-*", "--json", "v.json")
    assert code == 1
    assert_harmless(out, err, Path("v.json").read_text())


# --- On a terminal --------------------------------------------------------------------------------


def test_a_terminal_gets_colours_and_a_bar_of_ours_and_nothing_else(tmp_path):
    """A target's name with markup in it, drawn by the progress bar and printed in the report."""
    ours, theirs = pty.openpty()
    target = "sqlite://\x1b]0;owned\x07[red]x[nosuch]:smile:.db"
    process = subprocess.Popen(
        [sys.executable, "-m", "kvbench", "run", target, *RUN, "--ops", "mget"],
        stdout=theirs, stderr=theirs, stdin=theirs, env={**os.environ, "TERM": "xterm-256color"},
        cwd=tmp_path,
    )  # fmt: skip
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError):
        while data := os.read(ours, 65_536):
            written += data
    process.wait(timeout=60)
    os.close(ours)
    assert b"\x1b]" not in written and b"\x07" not in written
    assert b"[red]x[nosuch]:smile:" in written
    assert b"\x1b[?25l" in written  # There was a bar.


# --- In the server's log --------------------------------------------------------------------------


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_the_servers_log(formatter):
    """Whatever a client sent: in the message, in a fact, in an exception with its traceback."""
    try:
        raise ValueError(EVIL * 1000)
    except ValueError:
        record = logging.LogRecord("x", 40, "x", 1, "closed: %s", (EVIL,), sys.exc_info())
    record.facts = {"peer": EVIL}
    line = formatter.format(record)
    assert_harmless(line)
    assert r"\x1b]0;owned\x07 [red]x" in line.replace("\\\\", "\\")
