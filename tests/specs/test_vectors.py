"""The vectors are well formed, and leave out no opcode, tag, status, clause or decision."""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Decimal

import pytest

from kvbench import specs
from kvbench.conformance.wire.values import decode_value
from kvbench.errors import ProtocolError
from kvbench.protocol.frames import FrameReader
from kvbench.protocol.opcodes import EXTENSIONS, Opcode, Status, Tag
from kvbench.protocol.requests import (
    parse_cas,
    parse_mset,
    parse_msetex,
    parse_set,
)

CLAUSES = {clause.id: clause for clause in specs.clauses()}
CORE = {"get", "set", "del", "exists", "ping", "info"}

HEX = r"([0-9a-f]{2}( ?(?=[0-9a-f])|$))*"
HEX_FIELDS = ("send", "bytes", "repeat", "payload", "starts", "contains", "hex")

WITHOUT_A_VECTOR = {
    "CONN-001": "silence cannot be expected by a vector, only waited for",
    "LIMIT-002": "takes a payload of 64 MiB",
    "STATUS-001": "holds for every vector",
    "STATUS-002": "holds for every vector",
    "STATUS-007": "holds for every vector: none expects CAS_FAILED",
    "INFO-004": "a shared server's count changes under a vector",
    "OP-001": "each operation's own clauses",
    "OP-002": "each operation's own clauses",
    "EXT-002": "each extension's own clauses",
}
"""Clauses that a server is bound to, testable, and not shown by a vector, each with the reason."""


def everything(field):
    return [entry for file in specs.vector_files() for entry in getattr(file, field)]


def sent_frames(vector):
    readers = {}
    for step in vector.steps:
        reader = readers.setdefault(step.connection, FrameReader())
        yield from reader.feed(step.request())


def test_schema_is_made_from_the_classes():
    schema = json.loads((specs.directory() / "vectors" / "schema.json").read_text())
    assert schema == json.loads(json.dumps(specs.vector_schema())), "see specs/vectors/README.md"


def test_files_are_named_after_their_areas_and_listed_in_the_readme():
    folder = specs.directory() / "vectors"
    names = {path.name for path in folder.glob("*.json")} - {"schema.json"}
    assert names == {f"{file.area}.json" for file in specs.vector_files()}
    assert set(re.findall(r"`([a-z-]+\.json)`", (folder / "README.md").read_text())) == (
        names | {"schema.json"}
    )


def test_ids_are_unique_over_all_files():
    fields = ("vectors", "values", "invalid_values")
    counts = Counter(entry.id for field in fields for entry in everything(field))
    assert [name for name, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("file", specs.vector_files(), ids=lambda file: file.area)
def test_ids_and_hex_are_written_in_one_way(file):
    def check(node):
        if isinstance(node, list):
            for item in node:
                check(item)
        elif isinstance(node, dict):
            for name, item in node.items():
                patterns = {**dict.fromkeys(HEX_FIELDS, HEX), "id": r"[a-z0-9]+(-[a-z0-9]+)*"}
                if name == "payload" and isinstance(item, dict):
                    check(item)
                elif name in patterns:
                    for text in item if isinstance(item, list) else [item]:
                        if isinstance(text, str):
                            assert re.fullmatch(patterns[name], text), f"{name}: {text!r}"
                if name != "value":
                    check(item)

    check(json.loads((specs.directory() / "vectors" / f"{file.area}.json").read_text()))


def test_lists_that_say_something_are_not_empty():
    for vector in specs.vectors():
        assert vector.clauses
        assert vector.steps
        assert all(reply.status for step in vector.steps for reply in step.expect)


def test_every_clause_that_is_cited_exists():
    fields = ("vectors", "values", "invalid_values", "ttl_conversions", "addresses")
    cited = {clause for field in fields for entry in everything(field) for clause in entry.clauses}
    assert cited <= set(CLAUSES)


@pytest.mark.parametrize("vector", specs.vectors(), ids=lambda vector: vector.id)
def test_vector_is_safe_to_play_anywhere(vector):
    for key in vector.keys:
        assert key.startswith(specs.KEY_TOKEN)
        assert len(key.encode()) <= 256
    stored = {
        key.decode() for code, payload in sent_frames(vector) for key in keys_of(code, payload)
    }
    assert stored <= set(vector.keys), "every key that could be stored is listed and cleaned up"


def keys_of(code, payload):
    """The keys that a request could create. Malformed ones create none."""
    try:
        match code:
            case Opcode.SET | Opcode.SETNX:
                return [parse_set(payload)[0]]
            case Opcode.CAS:
                return [parse_cas(payload)[0]]
            case Opcode.MSET:
                return list(parse_mset(payload)[1])
            case Opcode.MSETEX:
                return [entry[0] for entry in parse_msetex(payload)]
            case Opcode.INCR | Opcode.DECR | Opcode.LOCK:
                size = int.from_bytes(payload[:2], "big")
                return [payload[2 : 2 + size]] if 0 < size <= len(payload) - 10 else []
    except ProtocolError:
        pass
    return []


@pytest.mark.parametrize("vector", specs.vectors(), ids=lambda vector: vector.id)
def test_vector_says_what_it_needs(vector):
    known = {int(opcode): opcode.name.lower() for opcode in Opcode}
    used = {known[code] for code, _ in sent_frames(vector) if code in known} - CORE
    operations = {need for need in vector.needs if not need.startswith("type-")}
    assert used <= operations
    assert operations - used <= set(EXTENSIONS)


@pytest.mark.parametrize("vector", specs.vectors(), ids=lambda vector: vector.id)
def test_steps_say_what_they_are_evidence_of(vector):
    named = {clause for step in vector.steps for clause in step.clauses}
    assert named == set(vector.clauses)


@pytest.mark.parametrize("vector", specs.vectors(), ids=lambda vector: vector.id)
def test_steps_use_the_plainest_types_or_say_which_they_need(vector):
    """So that a server without Bool fails where Bool is the matter, and nowhere else."""
    readers = {}
    for step in vector.steps:
        reader = readers.setdefault(step.connection, FrameReader())
        used = {
            f"type-{name}"
            for code, payload in reader.feed(step.request())
            for value in values_in(code, bytes(payload))
            for name in types_in(value)
        }
        is_about_types = "VALUE-001" in step.clauses
        assert is_about_types or used <= {*vector.needs, *step.needs}, step.note


def values_in(code, payload):
    """The values of a request. Malformed ones have none."""
    try:
        match code:
            case Opcode.SET | Opcode.SETNX:
                return [decode_value(payload[2 + int.from_bytes(payload[:2], "big") + 8 :])]
            case Opcode.CAS:
                return [decode_value(part) for part in parse_cas(payload)[2:]]
            case Opcode.MSET:
                return [decode_value(one) for one in parse_mset(payload)[1].values()]
            case Opcode.MSETEX:
                return [decode_value(entry[1]) for entry in parse_msetex(payload)]
    except ProtocolError:
        pass
    return []


def types_in(value):
    """The names of the types in a value, but for Int and String."""
    if isinstance(value, list):
        return {"list"}.union(*map(types_in, value))
    if isinstance(value, dict):
        return {"map"}.union(*map(types_in, value.values()))
    plain = {type(None): "null", bool: "bool", float: "float", Decimal: "decimal", bytes: "bytes"}
    return {plain[type(value)]} if type(value) in plain else set()


def test_every_opcode_is_sent_and_answered():
    answered = Counter()
    for vector in specs.vectors():
        for step in vector.steps:
            codes = [code for code, _ in FrameReader().feed(step.request())]
            for code, reply in zip(codes, step.expect, strict=False):
                answered[code, reply.status[0] in ("OK", "NULL")] += 1
    for opcode in Opcode:
        assert answered[int(opcode), True], f"no vector shows {opcode.name} at work"
        assert answered[int(opcode), False], f"no vector shows {opcode.name} refused"


def test_every_status_is_expected():
    expected = {
        name
        for vector in specs.vectors()
        for step in vector.steps
        for reply in step.expect
        for name in reply.status
    }
    # The fifth is reserved by the family; a server never sends it (STATUS-007).
    assert {Status[name] for name in expected} == set(Status) - {Status.CAS_FAILED}
    assert {name: int(Status[name]) for name in specs.STATUSES} == dict(specs.STATUSES)


def test_every_tag_is_there_valid_and_broken():
    valid = Counter(specs.unhex(entry.bytes)[0] for entry in everything("values"))
    broken = Counter(specs.unhex(entry.bytes)[:1] for entry in everything("invalid_values"))
    for tag in Tag:
        assert valid[int(tag)]
        assert broken[bytes([tag])]


def test_every_testable_clause_of_a_server_has_a_vector():
    fields = ("vectors", "values", "invalid_values")
    cited = {clause for field in fields for entry in everything(field) for clause in entry.clauses}
    bound = {clause.id for clause in specs.clauses() if clause.party == "server"}
    testable = {clause_id for clause_id in bound if not CLAUSES[clause_id].untestable}
    assert sorted(testable - cited) == sorted(WITHOUT_A_VECTOR)


def test_every_decision_of_the_appendix_has_a_vector_or_is_a_client_matter():
    document = (specs.directory() / "wire-protocol.md").read_text()
    rows = re.findall(r"^\| (\d+) \| [^|]*\? \| ([A-Z0-9 -]+) \|$", document, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= 20
    cited = {clause for vector in specs.vectors() for clause in vector.clauses}
    for number, ids in rows:
        decided = ids.split()
        of_servers = [one for one in decided if CLAUSES[one].party == "server"]
        assert not of_servers or cited & set(of_servers), f"decision {number} has no vector"


def test_repeats_make_the_same_bytes_as_hex():
    assert specs.unhex(["00 01", specs.Repeat("ff", 3), "02"]) == bytes.fromhex("0001ffffff02")


@pytest.mark.parametrize(
    ("payload", "given", "complaint"),
    [
        (specs.Payload(), b"anything", ""),
        (specs.Payload(text=True), "größe".encode(), ""),
        (specs.Payload(text=True), b"\xff", "no UTF-8"),
        (specs.Payload(json_members=["entries"]), b'{"entries": 1}', ""),
        (specs.Payload(json_members=["entries"]), b'{"keys": 1}', "lacks the members"),
        (specs.Payload(json_members=["entries"]), b"[]", "no JSON object"),
        (specs.Payload(json_members=["entries"]), b"{", "no JSON"),
        (specs.Payload(i64=(1, 5)), b"\0\0\0\0\0\0\0\5", ""),
        (specs.Payload(i64=(1, 5)), b"\0\0\0\0\0\0\0\6", "no i64 from 1 to 5"),
        (specs.Payload(i64=(1, 5)), b"\5", "no i64"),
        (specs.Payload(starts="0001"), b"\0\1\2", ""),
        (specs.Payload(starts="0001"), b"\0", "does not start"),
        (specs.Payload(contains=["ff"]), b"\0\xff", ""),
        (specs.Payload(contains=["ff"]), b"\0", "lacks the bytes"),
    ],
)
def test_a_payload_says_what_is_wrong(payload, given, complaint):
    problem = specs.ExpectedReply(["OK"], payload).mismatch(0, given)
    assert (complaint in problem) if complaint else not problem


def test_a_reply_says_what_was_expected():
    reply = specs.ExpectedReply(["INVALID", "ERROR"], specs.Payload(text=True))
    assert "expected INVALID or ERROR" in reply.mismatch(0, b"")
    assert specs.ExpectedReply(["OK"], "01").mismatch(0, b"\0") == "payload 00, expected 01"


def test_a_damaged_file_is_named(tmp_path, monkeypatch):
    (tmp_path / "clauses.toml").write_text('[[clause]]\nid = "X-1"\n')
    monkeypatch.setattr(specs, "directory", lambda: tmp_path)
    specs.clauses.cache_clear()
    try:
        with pytest.raises(specs.SpecsError, match=r"clauses\.toml"):
            specs.clauses()
    finally:
        specs.clauses.cache_clear()
