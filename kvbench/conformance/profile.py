"""Profiles: what a target declares about itself, in a TOML file that its author keeps.

::

    target = "Valkey 9.1"                  # for people
    capabilities = ["ttl", "setnx"]        # optional: without it, adapter or HELLO tell

    [[deviation]]
    clause = "BTTL-004"
    reason = "expiry runs on the wall clock"

A declared deviation that fails is ``xfail``, and fails nothing; one that passes is ``xpass``, and
fails the run, so that a profile never outlives the fault it excuses.

Both suites know words such as ``ttl``, and mean different things. For a target that both look at,
``capabilities`` is a table: ``capabilities = {wire = ["mget"], backend = ["ttl"]}``; a plain list
then says the same to both, each suite taking the words that it knows.

For the schemes of kvbench's adapters the profiles in ``specs/profiles`` are there without being
named: ``valkey://`` is checked with ``specs/profiles/valkey.toml``.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from kvbench import specs
from kvbench.conformance.case import Suite
from kvbench.conformance.suites import SUITES
from kvbench.decoding import decode
from kvbench.errors import UsageError
from kvbench.verdicts import BROKEN, Outcome, Verdict

_LINE_WIDTH = 90


_Words: TypeAlias = tuple[str, ...] | dict[Literal["wire", "backend"], tuple[str, ...]]
"""Capabilities, or those of each suite; where one has none, the suite finds them out."""


class Deviation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A clause that the target is known not to keep, and why."""

    clause: str
    reason: str


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a target declares.

    Attributes:
        target: its name for people.
        capabilities: what it can do; None when the adapter or HELLO shall tell.
        deviation: the clauses that it does not keep.
    """

    target: str = ""
    capabilities: _Words | None = None
    deviation: tuple[Deviation, ...] = ()

    def reason(self, clause: str) -> str:
        """Why ``clause`` is not kept; empty when no deviation is declared."""
        return next((one.reason for one in self.deviation if one.clause == clause), "")

    def declared(self, suite: Suite) -> frozenset[str] | None:
        """What the target can do, in the words of a suite; None when the profile does not say."""
        words = self.capabilities
        if isinstance(words, dict):
            words = next((words[name] for name in words if name == suite.name), None)
        return None if words is None else suite.vocabulary & set(words)


def read_profile(path: Path, known_clauses: Collection[str]) -> Profile:
    """Read a profile.

    Raises:
        UsageError: the file cannot be read, has a field, a capability or a clause that does not
            exist, or gives a deviation without a reason.
    """
    try:
        profile = decode(_decode_profile, path.read_bytes())
    except OSError as error:
        raise UsageError(f"profile {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        # No valid TOML, no UTF-8, or no profile: each of them says where.
        raise UsageError(f"profile {path}: {error}") from None
    _check_capabilities(path, profile.capabilities or ())
    seen: set[str] = set()
    for one in profile.deviation:
        if one.clause not in known_clauses:
            raise UsageError(
                f"profile {path}: there is no clause {one.clause!r}{nearest(one.clause)}"
            )
        if not one.reason.strip():
            raise UsageError(
                f"profile {path}: the deviation of {one.clause} has no reason: write why the "
                "target does not keep it, or remove the entry and correct the target"
            )
        if one.clause in seen:
            raise UsageError(f"profile {path}: the deviation of {one.clause} is declared twice")
        seen.add(one.clause)
    return profile


def _decode_profile(content: bytes) -> Profile:
    return msgspec.toml.decode(content, type=Profile)


def with_deviations(verdicts: Iterable[Verdict], profile: Profile) -> tuple[Verdict, ...]:
    """The verdicts in the light of the profile.

    A deviation is xfail when at least one of the clause's cases fails, and xpass only when all
    have passed: one that was skipped may be the one that shows it.
    """
    verdicts = list(verdicts)
    open_ones = (*BROKEN, Outcome.SKIPPED)
    deviating = {one.clause for one in verdicts if one.verdict in open_ones}
    seen = []
    for one in verdicts:
        reason = profile.reason(one.clause)
        outcome, detail = one.verdict, one.detail
        if reason and outcome in BROKEN:
            outcome, detail = Outcome.XFAIL, f"{reason} ({one.detail})"
        elif reason and outcome is Outcome.PASSED and one.clause not in deviating:
            outcome, detail = Outcome.XPASS, f"passes, but the profile says: {reason}"
        failure = one.failure if outcome in BROKEN else None
        seen.append(Verdict(one.clause, one.level, one.case, outcome, detail, failure))
    return tuple(seen)


def nearest(clause: str) -> str:
    """``; did you mean ...?`` with the clause that looks most like a wrong one, or nothing."""
    ids = [one.id for one in specs.clauses()]
    found = difflib.get_close_matches(clause.upper(), ids, n=1, cutoff=0.4)
    return f"; did you mean {found[0]}?" if found else ""


def shipped_profile(scheme: str) -> Path | None:
    """The profile that kvbench has for the stores of a scheme, if it has one."""
    path = specs.directory() / "profiles" / f"{scheme}.toml"
    return path if path.is_file() else None


def profile_text(
    target: str,
    capabilities: Mapping[Suite, frozenset[str]],
    deviations: Iterable[Deviation],
    remark: str,
    observed: Mapping[str, str],
) -> str:
    """A profile as TOML, for a person to complete: one without reasons cannot be used.

    Args:
        target: its name for people.
        capabilities: of each suite that looked at it.
        deviations: clause and reason; an empty reason is for a person to write.
        remark: one line on where this comes from.
        observed: by clause, what was seen of a deviation; becomes a comment.
    """
    words = {suite.name: _array(sorted(known)) for suite, known in capabilities.items()}
    lines = [
        f"# {remark}",
        "# Write the reason of each deviation, or correct the target: its users will read them.",
        f"target = {_quote(target)}",
    ]
    if len(words) == 1:
        lines.append(f"capabilities = {next(iter(words.values()))}")
    else:
        lines += ["", "[capabilities]"]
        lines += [f"{name} = {words[name]}" for name in sorted(words)]
    for one in deviations:
        seen = [f"# {_comment(observed[one.clause])}"] if one.clause in observed else []
        entry = [f'clause = "{one.clause}"', *seen, f"reason = {_quote(one.reason)}"]
        lines += ["", "[[deviation]]", *entry]
    return "\n".join(lines) + "\n"


def _check_capabilities(path: Path, words: _Words) -> None:
    by_suite = words if isinstance(words, dict) else {"": words}
    for name, of_suite in by_suite.items():
        suites = [suite for suite in SUITES if name in ("", suite.name)]
        known = {word for suite in suites for word in suite.vocabulary}
        for word in sorted(set(of_suite) - known):
            near = difflib.get_close_matches(word, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {sorted(known)}"
            raise UsageError(f"profile {path}: no capability is called {word!r}; {hint}")


def _array(words: list[str]) -> str:
    text = f"[{', '.join(map(_quote, words))}]"
    if len(text) <= _LINE_WIDTH:
        return text
    return "\n".join(["[", *[f"  {_quote(word)}," for word in words], "]"])


def _quote(text: str) -> str:
    """A basic string of TOML. JSON's escapes are TOML's, but for DEL and lone surrogates."""
    return json.dumps(_one_line(text), ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    return " ".join(text.encode("utf-8", "replace").decode().split())


def _comment(text: str) -> str:
    """A text without the control characters that a comment of TOML cannot hold."""
    return re.sub(r"[\x00-\x1f\x7f]", "\ufffd", _one_line(text))
