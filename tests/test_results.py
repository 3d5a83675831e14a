"""Results files: every record comes back as it went, and damage is named by its line.

A process can be killed at any byte. So a valid file is cut at each of them, and what is left is
either the run as far as it got, or an error that names the line: never anything else.
"""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvbench.errors import ResultsError
from kvbench.foreign_text import clean
from kvbench.results import (
    SCHEMA,
    ArmFigures,
    Baselines,
    Cell,
    Curve,
    Figure,
    Footer,
    Header,
    Misfit,
    Round,
    TargetRecord,
    TwoGroups,
    encode_record,
    read_results,
    results_schema,
)

HEADER = Header(
    schema=SCHEMA,
    started_at="2026-11-23T02:14:05Z",
    command="kvbench run memory://",
    settings={"batch_sizes": [10], "seed": 7, "quick": False, "report": None},
    environment={"cpu": "AMD EPYC", "cores": 2, "load_before": 0.4, "versions": {"numpy": "2.4"}},
    preset="batch-operations",
)
TARGET = TargetRecord("kvb://", True, {"product": "kvbench"}, Figure(1.0, 0.98, 1.02, [1.0, 1.01]))
SPEEDUP = Figure(4.31, 4.2, 4.43, [4.3, 4.32])
INDIVIDUAL = ArmFigures(
    Figure(32_258.0, 31_900.0, 32_600.0, [32_000.5, 32_500.25]),
    Figure(31_000.0),
    Figure(32_258.0),
    client_cpu=0.61,
    groups=TwoGroups(21.0, 5, 48.0, 3),
)
BATCH = ArmFigures(Figure(7_485.0), Figure(133_600.0), Figure(74_850.0))
CELL = Cell(
    target="kvb://",
    op="mget",
    batch_size=10,
    batch_kind="native",
    arms={"individual": INDIVIDUAL, "batch": BATCH},
    ratios={"individual/batch": SPEEDUP},
    speedup=SPEEDUP,
    rounds=2,
    waited=0.07,
    drift=0.012,
    is_stable=False,
    round_trips=1.01,
    round_trips_at=10,
)
NO_NUMBER = Cell(
    target="kvb://", op="mset", batch_size=10, batch_kind="native", reason="fällt aus: «∞» 😀"
)
FOOTER = Footer("complete", 31.4, 2, 1.25, "", ["kvb:// mset 10"])
RECORDS = (HEADER, TARGET, CELL, NO_NUMBER, FOOTER)
LINES = tuple(map(encode_record, RECORDS))
FILE = b"".join(LINES)

BASELINES = Baselines(Figure(48.2), Figure(61.0), Figure(24_300.0), None, True)
CURVE = Curve(
    target="kvb://",
    op="mget",
    fixed_ns=Figure(30_000.0, 29_000.0, 31_000.0),
    per_key_ns=Figure(300.0),
    half_gain_size=Figure(100.0),
    misfits=[Misfit(1000, 1.2)],
)
ROUND = Round(1, 1.5, "its worker process ended by signal 9")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results.jsonl"


def error_of(path, content: bytes) -> ResultsError:
    path.write_bytes(content)
    with pytest.raises(ResultsError) as caught:
        read_results(path)
    assert caught.value.path == str(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


def test_all_records_come_back_equal(path):
    path.write_bytes(FILE)
    results = read_results(path)
    assert results.header == HEADER
    assert results.targets == (TARGET,)
    assert results.cells == (CELL, NO_NUMBER)
    assert results.footer == FOOTER
    assert results.is_complete


def test_a_line_is_one_json_object_with_its_type_first():
    for record, kind in zip(RECORDS, ("header", "target", "cell", "cell", "footer"), strict=True):
        line = encode_record(record)
        assert line.endswith(b"}\n")
        assert line.count(b"\n") == 1
        assert next(iter(json.loads(line).items())) == ("type", kind)


finite = st.floats(allow_nan=False, allow_infinity=False)
figures = st.builds(
    Figure, finite, st.none() | finite, st.none() | finite, st.lists(finite, max_size=4)
)
arms = st.builds(ArmFigures, figures, figures, figures, finite)
texts = st.text(max_size=40)
facts = st.dictionaries(texts, texts | finite | st.booleans() | st.none(), max_size=4)
cells = st.builds(
    Cell,
    target=texts,
    op=texts,
    batch_size=st.integers(1, 10**9),
    batch_kind=texts,
    arms=st.dictionaries(texts, arms, max_size=3),
    ratios=st.dictionaries(texts, figures, max_size=3),
    speedup=st.none() | figures,
    reason=texts,
)
targets = st.builds(
    TargetRecord,
    texts,
    st.booleans(),
    st.dictionaries(texts, texts, max_size=3),
    st.none() | figures,
)
headers = st.builds(Header, st.just(SCHEMA), texts, texts, facts, facts, texts)

in_one_file = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@in_one_file
@given(header=headers, body=st.lists(cells | targets, max_size=6))
def test_any_records_survive_the_file(path, header, body):
    # Of each thing the last record counts, in the place of the first.
    kept = clean(body)
    found = {(o.target, o.op, o.batch_size): o for o in kept if isinstance(o, Cell)}
    opened = {one.target: one for one in kept if isinstance(one, TargetRecord)}
    footer = Footer("interrupted", 1.5, len(found), reason="interrupted by the user")
    path.write_bytes(b"".join(map(encode_record, [header, *body, footer])))
    results = read_results(path)
    assert results.header == clean(header)
    assert results.cells == tuple(found.values())
    assert results.targets == tuple(opened.values())
    assert results.footer == footer
    assert not results.is_complete


def test_a_file_cut_at_any_byte_is_interrupted_or_named(path):
    interrupted = 0
    for size in range(len(FILE)):
        if size < len(LINES[0]) - 1:
            error = error_of(path, FILE[:size])
            assert error.line == (1 if size else 0)
            continue
        path.write_bytes(FILE[:size])
        results = read_results(path)
        # The newline itself may be missing: the record before it is whole.
        whole = [record for end, record in ends() if end <= size + 1]
        assert [results.header, *results.targets, *results.cells] == [
            record for record in whole if record is not FOOTER
        ]
        assert results.is_complete == (FOOTER in whole)
        interrupted += not results.is_complete
    assert interrupted > 300


def test_a_later_record_replaces_an_earlier_one_in_its_place(path):
    first = msgspec.structs.replace(CELL, rounds=1)
    body = [HEADER, TARGET, first, NO_NUMBER, ROUND, BASELINES, CURVE, CELL, CURVE, FOOTER]
    path.write_bytes(b"".join(map(encode_record, body)))
    results = read_results(path)
    assert results.cells == (CELL, NO_NUMBER)
    assert results.curves == (CURVE,)
    assert results.baselines == BASELINES
    assert results.rounds == (ROUND,)


def test_the_schema_in_the_specification_is_that_of_the_types():
    """specs/results.schema.json is generated: `nox -s schema` writes it."""
    written = Path(__file__).parents[1] / "specs/results.schema.json"
    assert written.read_bytes() == results_schema()


@pytest.mark.parametrize(
    "record", [*RECORDS, BASELINES, CURVE, ROUND], ids=lambda record: type(record).__name__
)
def test_every_record_is_valid_by_the_schema(record):
    jsonschema.validate(json.loads(encode_record(record)), json.loads(results_schema()))


def ends() -> list[tuple[int, object]]:
    """Where each record's line ends in the file."""
    sizes = [sum(map(len, LINES[: count + 1])) for count in range(len(LINES))]
    return list(zip(sizes, RECORDS, strict=True))


@in_one_file
@given(data=st.data())
def test_a_damaged_line_in_the_middle_is_named(path, data):
    number = data.draw(st.integers(1, len(LINES)))
    line = LINES[number - 1]
    size = data.draw(st.integers(1, len(line) - 2))
    damaged = [*LINES[: number - 1], line[:size] + b"\n", *LINES[number:]]
    assert error_of(path, b"".join(damaged)).line == number


@in_one_file
@given(place=st.integers(0, len(FILE) - 1), byte=st.integers(0, 255))
def test_a_wrong_byte_is_read_or_named(path, place, byte):
    path.write_bytes(FILE[:place] + bytes([byte]) + FILE[place + 1 :])
    try:
        read_results(path)
    except ResultsError as error:
        # A line is named at the damage, or behind it where only the count of cells tells.
        assert error.line >= FILE[:place].count(b"\n") + 1


@in_one_file
@given(content=st.binary(max_size=300))
def test_garbage_is_refused(path, content):
    error_of(path, content)


def test_a_missing_cell_is_noticed_by_the_footer(path):
    error = error_of(path, FILE.replace(LINES[2], b""))
    assert error.line == 4
    assert "counts 2 cells" in error.reason
    assert "has 1" in error.reason


def test_blank_lines_do_not_shift_the_numbers(path):
    assert error_of(path, LINES[0] + b"\n  \n" + b"{}\n").line == 4


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"", 0, "empty"),
        (b"\n\n", 0, "empty"),
        (LINES[1] + LINES[2], 1, "no header"),
        (b"# Batch Operations\n", 1, "damaged"),
        (b"no newline", 1, "no header"),
        (LINES[0] + LINES[0], 2, "second header"),
        (FILE + LINES[0], 6, "after the footer"),
        (FILE + LINES[0][:20], 6, "after the footer"),
        (LINES[0] + b'{"type":"profile","target":"kvb://"}\n', 2, "'profile'"),
        (LINES[0] + b'{"target":"kvb://"}\n', 2, "type ''"),
        (LINES[0] + b'{"type":"profile","target":"kvb://"}', 2, "'profile'"),
        (LINES[0] + b'{"type":"cell","target":"kvb://","op":7}\n', 2, "$.op"),
        (LINES[0] + b"[" * 100_000 + b"\n", 2, "damaged"),
        (LINES[0] + b'{"type":"target","target":"\xff"}\n', 2, "damaged"),
        (LINES[0] + LINES[2].replace(b"4.31", b"1e999") + LINES[4], 2, "out of range"),
        (b'{"type":"header","schema":"kvbench-results/1"}\n', 1, "reads 'kvbench-results/2'"),
        (LINES[0].replace(SCHEMA.encode(), b"x/9"), 1, "schema 'x/9'"),
    ],
)
def test_a_mistake_is_reported_with_its_line(path, content, line, words):
    error = error_of(path, content)
    assert error.line == line
    assert words in error.reason


def test_deep_nesting_is_damage_not_a_crash(path):
    deep = b'{"type":"header","schema":"' + SCHEMA.encode() + b'","settings":{"a":'
    assert error_of(path, deep + b"[" * 50_000 + b"\n").line == 1


def test_fields_of_a_later_minor_version_are_ignored(path):
    path.write_bytes(FILE.replace(b'"op":"mget"', b'"percentiles":{"p99":1},"op":"mget"'))
    assert read_results(path).cells == (CELL, NO_NUMBER)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    for path, words in ((tmp_path / "none.jsonl", "No such file"), (tmp_path, "directory")):
        with pytest.raises(ResultsError, match=words) as caught:
            read_results(path)
        assert caught.value.line == 0


def test_an_infinity_cannot_be_read_back_as_a_number(path):
    line = encode_record(msgspec.structs.replace(CELL, drift=float("inf")))
    assert error_of(path, LINES[0] + line).line == 2
