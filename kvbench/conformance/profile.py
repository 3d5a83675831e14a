"""Profiles: what a target declares about itself, in a TOML file that its author keeps.

::

    target = "Valkey 9.1"                  # for people
    capabilities = ["ttl", "setnx"]        # optional: without it, adapter or HELLO tell

    [[deviation]]
    clause = "BTTL-004"
    reason = "expiry runs on the wall clock"

A declared deviation that fails is ``known`` and fails nothing; one that passes is an
``unexpected-pass`` and fails the run, so that a profile never outlives the fault it excuses.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec

from kvbench.errors import UsageError


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
    capabilities: tuple[str, ...] | None = None
    deviation: tuple[Deviation, ...] = ()

    def reason(self, clause: str) -> str:
        """Why ``clause`` is not kept; empty when no deviation is declared."""
        return next((one.reason for one in self.deviation if one.clause == clause), "")


def read_profile(path: Path, known_clauses: Collection[str]) -> Profile:
    """Read a profile.

    Raises:
        UsageError: the file cannot be read, has a field or a clause that does not exist, or gives
            a deviation without a reason.
    """
    try:
        profile = msgspec.toml.decode(path.read_bytes(), type=Profile)
    except OSError as error:
        raise UsageError(f"profile {path} cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise UsageError(f"profile {path}: {error}") from None
    for one in profile.deviation:
        if one.clause not in known_clauses:
            raise UsageError(f"profile {path}: there is no clause {one.clause!r}")
        if not one.reason.strip():
            raise UsageError(f"profile {path}: the deviation of {one.clause} needs a reason")
    return profile
