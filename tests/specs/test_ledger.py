"""Documents and ledger say the same, in both directions, and the protocol's example runs."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from kvbench import specs
from kvbench.clock import ManualClock
from kvbench.engine import Engine
from kvbench.model import Capability
from kvbench.protocol.frames import HEADER_BYTES, FrameReader, frame
from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX, TTL_MS_MAX, Opcode, Tag
from kvbench.server.dispatch import Dispatcher
from kvbench.server.stats import Stats

WIRE = "wire-protocol.md"
BACKEND = "backend-contract.md"
DOCUMENTS = {name: (specs.directory() / name).read_text() for name in (WIRE, BACKEND)}
CLAUSE = re.compile(
    r"^- \*\*(?P<id>[A-Z]+-\d{3})\*\* "
    r"\((?P<level>MUST|SHOULD|MAY)(?P<client>, client)?(?:, needs (?P<needs>[a-z -]+))?\) "
    r"(?P<text>.*(?:\n  .*)*)",
    re.MULTILINE,
)
CORE = {Opcode.GET, Opcode.SET, Opcode.DEL, Opcode.EXISTS, Opcode.PING, Opcode.INFO}
CAPABILITIES = {
    WIRE: {opcode.name.lower() for opcode in set(Opcode) - CORE} | {"atomic-batch"},
    BACKEND: set(map(str, Capability)),
}
LEDGER = {clause.id: clause for clause in specs.clauses()}


def document_of(clause: specs.Clause) -> str:
    return BACKEND if clause.party == "backend" else WIRE


def clauses_in(name: str) -> list[specs.Clause]:
    """The clauses of a document, in its order, as the ledger should have them."""
    found = []
    for match in CLAUSE.finditer(DOCUMENTS[name]):
        headings = re.findall(r"^##+ (.*)$", DOCUMENTS[name][: match.start()], re.MULTILINE)
        party = "client" if match["client"] else "server"
        found.append(
            specs.Clause(
                id=match["id"],
                level=match["level"],
                section=headings[-1],
                text=" ".join(match["text"].split()),
                party="backend" if name == BACKEND else party,
                since="1",
                needs=tuple(match["needs"].split(" and ")) if match["needs"] else (),
            )
        )
    return found


WRITTEN = [clause for name in DOCUMENTS for clause in clauses_in(name)]


def test_ids_are_unique():
    for clauses in (WRITTEN, specs.clauses()):
        counts = Counter(clause.id for clause in clauses)
        assert [clause_id for clause_id, count in counts.items() if count > 1] == []
    assert len(LEDGER) > 300


def test_documents_and_ledger_hold_the_same_clauses_in_the_same_order():
    assert [clause.id for clause in WRITTEN] == list(LEDGER)


@pytest.mark.parametrize("clause", WRITTEN, ids=lambda clause: clause.id)
def test_ledger_repeats_the_document(clause):
    entry = LEDGER[clause.id]
    for field in ("level", "section", "text", "party", "since", "needs"):
        assert getattr(entry, field) == getattr(clause, field), f"{field} differs in clauses.toml"


@pytest.mark.parametrize("clause", specs.clauses(), ids=lambda clause: clause.id)
def test_clause_is_well_formed(clause):
    words = set(re.findall(r"\b(MUST|SHOULD|MAY)\b", clause.text))
    assert words == {clause.level}, "a clause is one requirement, and its level is in its sentence"
    assert clause.text.endswith(".")
    assert set(clause.needs) <= CAPABILITIES[document_of(clause)]
    if clause.party == "client":
        assert not clause.needs
        assert not clause.untestable, "what clients do is tested with each client"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_mention_of_a_clause_in_a_document_exists(name):
    mentioned = set(re.findall(r"\b[A-Z]+-\d{3}\b", DOCUMENTS[name]))
    assert mentioned <= set(LEDGER)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_binding_word_stands_in_a_clause(name):
    prose = CLAUSE.sub("", DOCUMENTS[name])
    prose = prose.replace("MUST, MUST NOT, SHOULD, SHOULD NOT and MAY mean what", "")
    bound = re.findall(r"^.*\b(?:MUST|SHOULD|MAY)\b.*$", prose, re.MULTILINE)
    allowed = ("> **GET-003** (MUST)", "every MUST clause", "(VALUE-017 is a SHOULD)")
    assert [line for line in bound if not any(words in line for words in allowed)] == []


def test_every_mention_of_a_clause_in_the_code_exists():
    root = specs.directory().parent
    prefixes = {clause_id.split("-")[0] for clause_id in LEDGER}
    pattern = re.compile(rf"\b(?:{'|'.join(sorted(prefixes))})-\d{{3}}\b")
    mentions = {
        (str(path.relative_to(root)), mention)
        for folder in ("kvbench", "backends")
        for path in (root / folder).rglob("*.py")
        for mention in pattern.findall(path.read_text())
    }
    assert mentions
    assert [entry for entry in sorted(mentions) if entry[1] not in LEDGER] == []


def test_tables_of_the_document_are_the_codes_of_the_code():
    rows = re.findall(
        r"^\| ([0-9A-F]{2}) \| ([A-Z_]+|[A-Z][a-z]+) \|", DOCUMENTS[WIRE], re.MULTILINE
    )
    codes = {name.upper(): int(code, 16) for code, name in rows}
    for name, number in [*Opcode.__members__.items(), *Tag.__members__.items()]:
        if name != "NULL":  # A status and a tag share this name.
            assert codes.pop(name) == number
    assert set(codes) == {"OK", "NULL", "ERROR", "INVALID", "CAS_FAILED"}


def test_numbers_of_the_document_are_those_of_the_code():
    assert f"{TTL_MS_MAX:,}" in LEDGER["TTL-006"].text
    assert f"{PAYLOAD_BYTES_MAX:,}" in LEDGER["LIMIT-002"].text


def test_the_worked_exchange_is_what_happens():
    example = re.search(r"```frames\n(.*?)```", DOCUMENTS[WIRE], re.DOTALL)
    assert example
    lines = [line.split("#")[0].split() for line in example[1].splitlines()]
    dispatcher = Dispatcher(Engine[bytes, bytes](ManualClock()), Stats(ManualClock()))
    requests = [bytes.fromhex("".join(line[1:])) for line in lines if line[0] == ">"]
    replies = [bytes.fromhex("".join(line[1:])) for line in lines if line[0] == "<"]
    frames = FrameReader().feed(b"".join(requests))
    assert [frame(code, payload) for code, payload in frames] == requests
    assert [dispatcher.handle(code, payload) for code, payload in frames] == replies
    assert min(map(len, replies)) >= HEADER_BYTES
