"""The seed of all that is random in a run: two runs with the same one give the same verdicts."""

from __future__ import annotations

import secrets

SEED_DEFAULT = "kvbench"
RANDOM = "random"
"""In place of a seed: draw one, to explore."""


def drawn(seed: str) -> str:
    """The seed of a run; a new one for :data:`RANDOM`."""
    return secrets.token_hex(4) if seed == RANDOM else seed
