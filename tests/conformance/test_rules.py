"""Each rule about keys, values, TTLs and batches is played through every operation it reaches."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvbench.conformance.wire.cases.everywhere import RULES, play_rule
from kvbench.conformance.wire.everywhere import BATCH_SIZES, Subject, cells, reaches
from kvbench.protocol.opcodes import Opcode, RequestLayout

from ..mutants.hunt import CAPABILITIES
from .rules import REPORT, context, markdown, table

ALL = {opcode.word for opcode in Opcode}
WITH_KEYS = {
    "get", "set", "del", "exists", "incr", "decr", "cas", "setnx", "lock", "unlock", "extend",
    "mget", "mset", "mdel", "mexists", "msetex", "expire", "ttl", "getdel",
}  # fmt: skip
WITH_TTLS = {"set", "cas", "setnx", "lock", "extend", "mset", "msetex", "expire"}


def test_no_cell_that_applies_is_empty_and_the_report_is_up_to_date() -> None:
    rows = table()
    empty = [
        (rule, op.name) for rule, row in rows.items() for op, sizes in row.items() if not sizes
    ]
    assert empty == []
    assert (Path(__file__).parents[2] / REPORT).read_text() == markdown(rows)


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        (Subject.KEY, WITH_KEYS),
        (Subject.TTL, WITH_TTLS),
        (Subject.VALUE, {"set", "cas", "setnx", "mset", "msetex"}),
        (Subject.BATCH, {"mget", "mset", "mdel", "mexists", "msetex"}),
    ],
)
def test_a_rule_reaches_the_operations_that_take_its_subject(
    subject: Subject, names: set[str]
) -> None:
    assert {opcode.word for opcode in Opcode if reaches(opcode, subject)} == names


def test_batches_have_every_size_and_place() -> None:
    found = {(cell.keys, cell.place) for cell in cells(Subject.BATCH, {"mget"})}
    assert found == {(1, 0), (2, 0), (2, 1), (500, 0), (500, 250), (500, 499)}
    assert {size for size, _ in found} == set(BATCH_SIZES)
    assert {cell.keys for cell in cells(Subject.KEY, ALL) if not cell.is_batch} == {1}


@pytest.mark.parametrize("clause", RULES)
def test_a_rule_is_played_in_each_of_its_cells(clause: str) -> None:
    """The guard keeps no request back: each of them names only keys under the prefix."""
    rule = RULES[clause]
    with context() as made:
        assert play_rule(made, rule) == set(cells(rule.subject, WITH_KEYS & (CAPABILITIES | ALL)))


def test_layouts_without_keys_are_never_composed() -> None:
    assert not any(
        reaches(opcode, subject)
        for subject in Subject
        for opcode in Opcode
        if opcode.request in (RequestLayout.EMPTY, RequestLayout.HELLO)
    )
