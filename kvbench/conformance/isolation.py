"""Isolated keys: each case has a key prefix that no other run has, and touches no other key.

The guards of both suites (:mod:`kvbench.conformance.wire.guard` and
:mod:`kvbench.conformance.backend.guard`) hold every request against that prefix.
"""

from __future__ import annotations

import random

from kvbench.specs import KEY_TOKEN

PREFIX_START = "kvbench-check:"
"""How every key of the suite begins, so that people who find one know where it comes from."""


class ForeignKeyError(BaseException):
    """A case wanted to touch a key that may belong to another user. Nothing was sent.

    No Exception, for nothing may take it for a finding about the target: a case expects errors of
    the target, and a search would look for a smaller one.
    """


def fresh_prefix() -> str:
    """A key prefix that no other run has, whatever the seeds are: as long as KEY_TOKEN."""
    letters = random.SystemRandom().choices("abcdefghijklmnopqrstuvwxyz234567", k=10)
    prefix = PREFIX_START + "".join(letters)
    assert len(prefix) == len(KEY_TOKEN)
    return prefix
