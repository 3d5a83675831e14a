"""Conformance results written for the tests of their reports."""

from __future__ import annotations

from kvbench.verdicts import (
    SCHEMA,
    Conformance,
    Exchange,
    Failure,
    Outcome,
    TargetVerdicts,
    Verdict,
    judge,
)

CONTROL = "\x1b[31m \x00 \x08 \u202e \ud800 </pre><script>alert(1)</script> |pipe| `tick` ]]>"
"""What a target may put into a message: escapes, a reversal, a lone surrogate, markup."""

FAILURE = Failure(
    expected="00 OK, payload empty",
    actual="02 ERROR, payload 6e 6f",
    exchanges=(
        Exchange(0.0, "a", "!", "", "connected"),
        Exchange(0.121, "a", ">", "01 00 00 00 01 6b", "GET b'k'"),
        Exchange(0.431, "a", "<", "02 00 00 00 02 6e 6f", "ERROR no"),
    ),
    seed="7/wire.vector.get",
    repro="kvbench-failures/get.json",
    timeline="a |--mset--|\nb    |--mget--|",
)

NASTY_FAILURE = Failure(
    CONTROL, CONTROL, (Exchange(1.0, CONTROL, ">", CONTROL, CONTROL),), CONTROL, CONTROL, CONTROL
)


def verdict(clause: str, outcome: str = "passed", detail: str = "", **changes: object) -> Verdict:
    """A verdict with a plausible case; a failure explains itself."""
    party = "backend" if clause.startswith("B") and not clause.startswith("BATCH") else "wire"
    failure = FAILURE if outcome in ("failed", "warning") else None
    fields = {
        "clause": clause,
        "level": "MUST",
        "case": f"{party}.vector.{clause.lower()}",
        "verdict": Outcome(outcome),
        "detail": detail,
        "failure": failure,
    }
    return Verdict(**(fields | changes))


def target(name: str, *verdicts: Verdict, **facts: str) -> TargetVerdicts:
    return judge(name, ("wire",), verdicts, facts, ("mget", "mset"), 1.25)


def conformance(*targets: TargetVerdicts) -> Conformance:
    return Conformance(SCHEMA, "0.1.0", "2026-11-23T02:14:05+00:00", "7", targets)


GOOD = target("kvb://", verdict("GET-001"), verdict("SET-001"), product="kvbench", version="0.1.0")
EVERYTHING = target(
    "redis://user:***@[::1]:6379/0",
    verdict("GET-001", "failed", "expected 00; got 02"),
    verdict("GET-001", case="wire.vector.another"),
    verdict("GET-002", "xfail", "the store cannot (expected 1; got 2)"),
    verdict("GET-003", "xpass", "passes, but the profile says: cannot"),
    verdict("GET-004", "skipped", "it stands on SET-001, which failed"),
    verdict("SET-001", "error", "KeyError: 'x'"),
    verdict("MGET-001", "unsupported", "not declared: mget"),
    verdict("MGET-002", "unsupported", "not declared: mget"),
    verdict("ERR-001", "warning", "expected INVALID; got ERROR", level="SHOULD"),
    verdict("BGET-001"),
)
UNVERIFIED = target("lmdb:///a", verdict("GET-001", "skipped", "no time left"))
EMPTY = target("127.0.0.1:16390")
NASTY = target(
    CONTROL,
    verdict("GET-001", "failed", CONTROL, failure=NASTY_FAILURE, case=f"wire.{CONTROL}"),
    verdict("GONE-999", "xfail", "a reason" * 200),
    **{CONTROL: CONTROL, "product": CONTROL},
)

RUNS = {
    "nothing": conformance(),
    "one that conforms": conformance(GOOD),
    "every outcome": conformance(GOOD, EVERYTHING),
    "nothing ran": conformance(EMPTY),
    "not verified": conformance(UNVERIFIED),
    "nasty": conformance(NASTY, GOOD),
    "ten targets": conformance(*[target(f"memory://{n}", verdict("GET-001")) for n in range(10)]),
    "twenty targets": conformance(*[target(f"h:{n}", verdict("GET-001")) for n in range(20)]),
}
