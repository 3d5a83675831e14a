"""Profiles: read strictly, written so that they read back, shipped ones in order."""

from __future__ import annotations

import pytest

from kvbench import specs
from kvbench.conformance.profile import (
    Deviation,
    Profile,
    nearest,
    profile_text,
    read_profile,
    shipped_profile,
)
from kvbench.conformance.selection import ledger
from kvbench.conformance.suites import BACKEND, WIRE
from kvbench.errors import UsageError
from kvbench.registry import schemes


@pytest.fixture
def read(tmp_path):
    def call(text):
        path = tmp_path / "profile.toml"
        path.write_text(text, encoding="utf-8")
        return read_profile(path, ledger())

    return call


def test_an_empty_profile_declares_nothing(read):
    profile = read("")
    assert profile == Profile()
    assert profile.declared(WIRE) is None
    assert profile.reason("GET-001") == ""


def test_capabilities_are_taken_in_the_words_of_each_suite(read):
    profile = read('capabilities = ["ttl", "mget", "locks"]')
    assert profile.declared(WIRE) == {"ttl", "mget"}
    assert profile.declared(BACKEND) == {"ttl", "locks"}


def test_a_table_speaks_to_each_suite(read):
    profile = read('[capabilities]\nwire = ["mget"]')
    assert profile.capabilities == {"wire": ("mget",)}
    assert profile.declared(WIRE) == {"mget"}
    assert profile.declared(BACKEND) is None


def test_no_capabilities_is_not_the_same_as_none_given(read):
    assert read("capabilities = []").declared(WIRE) == frozenset()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("target = 1", "target"),
        ("colour = 'red'", "colour"),
        ("target = ", "profile.toml"),
        ('capabilities = ["mgte"]', "did you mean 'mget'"),
        ('[capabilities]\nwire = ["locks"]', "no capability is called 'locks'"),
        ('[[deviation]]\nclause = "GTE-001"\nreason = "x"', "did you mean GET-001"),
        ('[[deviation]]\nclause = "GET-001"', "reason"),
        ('[[deviation]]\nclause = "GET-001"\nreason = " "', "has no reason"),
        ('[[deviation]]\nclause = "GET-001"\nreason = "x"\n' * 2, "declared twice"),
    ],
)
def test_a_wrong_profile_is_refused_by_name(read, text, words):
    with pytest.raises(UsageError, match=words):
        read(text)


def test_a_profile_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_profile(tmp_path / "no.toml", ledger())
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"bytes\.toml"):
        read_profile(tmp_path / "bytes.toml", ledger())


@pytest.mark.parametrize(
    "reason",
    ["plain", 'quotes " and \\ and # and \t', "null \0 del \x7f", "é 漢 \U0001f600 \ud800"],
)
@pytest.mark.parametrize(
    "capabilities",
    [
        {WIRE: frozenset({"mget"})},
        {WIRE: frozenset()},
        {WIRE: WIRE.vocabulary, BACKEND: BACKEND.vocabulary},
    ],
    ids=["one", "none", "both"],
)
def test_what_is_written_reads_back(read, reason, capabilities):
    text = profile_text(
        "a [target]", capabilities, [Deviation("GET-001", reason)], "Written.", {"GET-001": reason}
    )
    profile = read(text.encode("utf-8").decode())
    assert profile.target == "a [target]"
    for suite, words in capabilities.items():
        assert profile.declared(suite) == words
    shown = " ".join(reason.encode("utf-8", "replace").decode().split())
    assert profile.reason("GET-001") == shown
    assert text.startswith("# Written.\n# Write the reason")


def test_the_nearest_clause():
    assert nearest("mget-1") == "; did you mean MGET-001?"
    assert nearest("%%%%") == ""


def test_every_shipped_profile_is_of_a_scheme_and_reads():
    paths = sorted((specs.directory() / "profiles").glob("*.toml"))
    for path in paths:
        read_profile(path, ledger())
        assert path.stem in schemes(), "a profile is found by its scheme"
        assert shipped_profile(path.stem) == path
    assert shipped_profile("no-such-scheme") is None


def test_vocabularies_are_what_clauses_can_need():
    for clause in specs.clauses():
        suite = BACKEND if clause.party == "backend" else WIRE
        assert set(clause.needs) <= suite.vocabulary
