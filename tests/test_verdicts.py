"""Verdicts: which outcome of a clause is worst, what conforms, how a file of them reads back."""

from __future__ import annotations

from itertools import permutations

import msgspec
import pytest

from kvbench.errors import ResultsError
from kvbench.verdicts import (
    EXCHANGES_SHOWN,
    HEX_CHARS_SHOWN,
    SCHEMA,
    Conformance,
    Exchange,
    Failure,
    Outcome,
    Verdict,
    by_clause,
    describe,
    explain,
    judge,
    read_conformance,
)


def verdicts(**outcomes):
    """One verdict for each clause, named after its level: MUST_1=Outcome.PASSED."""
    return tuple(
        [Verdict(name, name.partition("_")[0], "case", one) for name, one in outcomes.items()]
    )


def summary(**outcomes):
    return judge("x", ("wire",), verdicts(**outcomes), {}, (), 0.0).summary


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ({}, "not verified"),
        ({"MUST_1": Outcome.PASSED}, "conforms"),
        ({"SHOULD_1": Outcome.PASSED}, "conforms"),
        ({"MUST_1": Outcome.XFAIL}, "conforms with deviations"),
        ({"MUST_1": Outcome.UNSUPPORTED}, "not verified"),
        ({"MUST_1": Outcome.PASSED, "MUST_2": Outcome.UNSUPPORTED}, "conforms"),
        ({"MUST_1": Outcome.PASSED, "MUST_2": Outcome.SKIPPED}, "not verified"),
        ({"MUST_1": Outcome.PASSED, "MUST_2": Outcome.ERROR}, "not verified"),
        ({"MUST_1": Outcome.PASSED, "SHOULD_2": Outcome.SKIPPED}, "conforms"),
        ({"MUST_1": Outcome.PASSED, "SHOULD_2": Outcome.WARNING}, "conforms"),
        ({"SHOULD_1": Outcome.WARNING}, "not verified"),
        ({"MUST_1": Outcome.PASSED, "MUST_2": Outcome.FAILED}, "does not conform"),
        ({"MUST_1": Outcome.PASSED, "MAY_2": Outcome.XPASS}, "does not conform"),
        ({"MUST_1": Outcome.SKIPPED, "MUST_2": Outcome.FAILED}, "does not conform"),
    ],
)
def test_what_conforms(outcomes, expected):
    assert summary(**outcomes) == expected


def test_conforms_is_what_the_summary_says():
    for outcome in Outcome:
        found = judge("x", (), verdicts(MUST_1=outcome), {}, (), 0.0)
        assert found.conforms == found.summary.startswith("conforms")


def test_deviations_are_counted_and_a_part_is_called_one():
    found = verdicts(MUST_1=Outcome.XFAIL, SHOULD_2=Outcome.XFAIL, MUST_3=Outcome.PASSED)
    assert judge("x", (), found, {}, (), 0.0).headline == "conforms with 2 deviations"
    part = judge("x", (), found, {}, (), 0.0, is_partial=True)
    assert part.headline == "partial (subset)" and not part.conforms
    broken = verdicts(MUST_1=Outcome.FAILED)
    assert judge("x", (), broken, {}, (), 0.0, is_partial=True).headline == "does not conform"


def test_a_clause_is_worth_the_worst_of_its_cases():
    def worst(*outcomes):
        found = [Verdict("A", "MUST", "case", one, f"{one} {n}") for n, one in enumerate(outcomes)]
        [merged] = by_clause(found).values()
        assert {one.verdict for one in merged.verdicts} == {merged.outcome}
        return merged.outcome

    assert worst(Outcome.PASSED, Outcome.FAILED, Outcome.UNSUPPORTED) is Outcome.FAILED
    assert worst(Outcome.UNSUPPORTED, Outcome.PASSED) is Outcome.PASSED
    for one, other in permutations(Outcome, 2):
        assert worst(one, other) is worst(other, one)
    assert by_clause([]) == {}


def test_clauses_are_counted_once():
    found = (
        Verdict("A", "MUST", "one", Outcome.PASSED),
        Verdict("B", "SHOULD", "one", Outcome.PASSED),
        Verdict("A", "MUST", "two", Outcome.FAILED),
    )
    merged = {clause: one.outcome for clause, one in by_clause(found).items()}
    assert merged == {"A": Outcome.FAILED, "B": Outcome.PASSED}
    counts = judge("x", (), found, {}, (), 0.0).counts
    assert counts == {"MUST": {"failed": 1}, "SHOULD": {"passed": 1}}


def test_a_failure_explains_itself():
    exchanges = tuple([Exchange(1.25, "a", ">", "08 00", f"PING {n}") for n in range(20)])
    failure = Failure("OK", "ERROR", exchanges, "seed-1", "d/x.json", "time\nline")
    text = explain(
        [
            Verdict("PING-001", "MUST", "wire.ping", Outcome.FAILED, "short", failure),
            Verdict("PING-009", "MUST", "wire.ping", Outcome.FAILED, "short", failure),
        ],
        {"PING-001": "PING MUST answer."},
        "host:1",
    )
    for part in ("PING-001 (MUST) PING MUST answer.", "wire.ping", "OK", "ERROR", "seed-1"):
        assert part in text
    assert "\nPING-009 (MUST)\n  failed in wire.ping\n" in text
    assert text.count("PING 19") == 1
    assert "kvbench replay host:1 d/x.json" in text
    assert "PING 19" in text
    assert f"PING {19 - EXCHANGES_SHOWN}\n" not in text
    assert text.endswith("    time\n    line")


def test_without_a_failure_the_detail_explains():
    text = explain([Verdict("A-001", "MAY", "", Outcome.SKIPPED, "it stands on B")], {})
    assert text == "A-001 (MAY)\n  skipped in no case\n  it stands on B"


def test_long_bytes_are_cut_between_two_of_them():
    line = describe(Exchange(0.0, "a", "<", " ".join(["ab"] * 200), "much"))
    assert line.endswith("much  [" + "ab " * 31 + "ab …]")
    assert len(line) < HEX_CHARS_SHOWN + 40
    assert describe(Exchange(12.34, "b", "!", "", "closed")) == "     12.3 ms b · closed"


@pytest.fixture
def conformance():
    failure = Failure("a", "b", (Exchange(0.1, "a", ">", "00", "x"),))
    found = (
        Verdict("A", "MUST", "one", Outcome.PASSED),
        Verdict("B", "SHOULD", "two", Outcome.WARNING, "why", failure),
    )
    target = judge("x", ("wire",), found, {"version": "1"}, ("mget",), 1.5)
    return Conformance(SCHEMA, "0.1", "2026-01-01T00:00:00+00:00", "s", (target,))


def test_a_file_reads_back(tmp_path, conformance):
    path = tmp_path / "x.json"
    path.write_bytes(msgspec.json.encode(conformance))
    assert read_conformance(path) == conformance


def test_the_schema_is_the_documented_one(conformance):
    plain = msgspec.to_builtins(conformance)
    assert plain["schema"] == "kvbench-conformance/2"
    target = plain["targets"][0]
    assert set(target) >= {"target", "conforms", "counts", "verdicts"}
    assert target["counts"] == {"MUST": {"passed": 1}, "SHOULD": {"warning": 1}}
    assert set(target["verdicts"][1]) >= {"clause", "level", "case", "verdict", "detail"}


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "no conformance result"), ("{}", "no conformance result"), ("[1]", "no conformance")],
)
def test_what_is_no_result_is_refused(tmp_path, text, words):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ResultsError, match=words):
        read_conformance(path)


def test_another_schema_or_no_file(tmp_path, conformance):
    path = tmp_path / "x.json"
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(conformance, schema="other/2")))
    with pytest.raises(ResultsError, match="other/2"):
        read_conformance(path)
    old = {"schema": "kvbench-conformance/1", "targets": [{"verdicts": [{"verdict": "known"}]}]}
    path.write_bytes(msgspec.json.encode(old))
    with pytest.raises(ResultsError, match="this version reads 'kvbench-conformance/2'"):
        read_conformance(path)
    with pytest.raises(ResultsError, match="cannot be read"):
        read_conformance(tmp_path / "no.json")
