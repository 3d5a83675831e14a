"""Suggestions: the nearest right word, and no word where none is near."""

from __future__ import annotations

import pytest

from kvbench.suggest import did_you_mean, nearest

RUN = [
    *("--batch-sizes", "--ops", "--value-size", "--value-type", "--key-length", "--rounds"),
    *("--seed", "--quick", "--rigorous", "--no-keep-awake", "--output", "--report", "--preset"),
    *("--conformance", "--json", "--help"),
]
SCHEMES = [
    *("kvb", "kvb+async", "lmdb", "memcached", "memory", "null", "redis", "rediss", "rocksdb"),
    *("sqlite", "valkey"),
]


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("--batch-size", ("--batch-sizes",)),
        ("--batchsizes", ("--batch-sizes",)),
        ("--batch_sizes", ("--batch-sizes",)),
        ("--ronds", ("--rounds",)),
        ("--qiuck", ("--quick",)),
        ("--size", ("--value-size",)),
        ("--value", ("--value-size", "--value-type")),
        ("--keep-awake", ("--no-keep-awake",)),
        ("--json-file", ("--json",)),
        ("--out", ("--output",)),
        ("--OPS", ("--ops",)),
    ],
)
def test_the_option_that_was_meant_is_found(word, found):
    assert nearest(word, RUN) == found


@pytest.mark.parametrize(
    "word", ["--port", "--format", "--html", "--iterations", "--verbose", "--x", "--"]
)
def test_a_silly_option_is_not_suggested(word):
    """difflib, which click asks, offered --report for --port."""
    assert nearest(word, RUN) == ()


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("valky", ("valkey",)),
        ("memroy", ("memory",)),
        ("memcache", ("memcached",)),
        ("sqlite3", ("sqlite",)),
        ("mem", ("memcached", "memory")),
        ("mongodb", ()),
        ("postgres", ()),
        ("foo", ()),
    ],
)
def test_schemes(word, found):
    assert nearest(word, SCHEMES) == found


def test_the_sentence():
    assert did_you_mean("runn", ["run", "report"], "no") == "did you mean 'run'?"
    assert did_you_mean("mem", SCHEMES, "no") == "did you mean 'memcached' or 'memory'?"
    assert did_you_mean("xyzzy", SCHEMES, "there are others") == "there are others"
