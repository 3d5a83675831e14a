"""What ``pytest --pyargs kvbench.conformance`` collects: every case, through the plugin's fixtures.

It can be imported into your own test module. It cannot be changed there, only selected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvbench.conformance.plugin import settle

if TYPE_CHECKING:
    from kvbench.verdicts import Verdict


def test_conformance(kvbench_verdicts: tuple[Verdict, ...]) -> None:
    """The target keeps the clauses of the case."""
    settle(kvbench_verdicts)
