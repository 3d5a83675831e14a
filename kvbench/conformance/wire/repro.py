"""Repro files: a failed conversation that plays again, here or in any language.

A file is a file of vectors (specs/vectors/README.md) with one vector, and one more member,
``failure``, with all that people want to know. So whatever plays vectors plays it, and
``kvbench replay`` shows the difference between what should come and what comes.

A case that is a vector leaves that vector behind. Another case leaves what it sent, and as
expectation the reply that its clause asks for where that is one reply; every other reply is free.
Where no single reply is wrong (a history, a silence, a count), ``is_judged`` is false: the steps
only show, and `kvbench replay` runs the case itself to judge. Threads of a case become one order.
"""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from kvbench import __version__, specs
from kvbench.conformance.case import EFFORT_RIGOROUS, Case
from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.frames import take_frames
from kvbench.conformance.wire.trace import TraceEvent, WireReply
from kvbench.conformance.wire.vectors import STEPS_MAX, check_numbers
from kvbench.decoding import decode
from kvbench.errors import UsageError
from kvbench.foreign_text import clean
from kvbench.specs import KEY_TOKEN, Bytes, ExpectedReply, Hex, Payload, Repeat, Vector, VectorStep
from kvbench.verdicts import Exchange

DIRECTORY = "kvbench-failures"
"""Where files go unless the user names another place; made when something fails."""

FILE_BYTES_MAX = 64 * 1024 * 1024
"""A larger file is none that the suite has written."""

_PAUSE_MS = 20.0
"""A shorter gap between two sends is the machine's; a longer one is the case, waiting."""

_RUN_BYTES_MIN = 64
"""Equal bytes in a row that are written as a repeat."""

_ANY = ExpectedReply(["OK", "NULL", "ERROR", "INVALID"], Payload())
"""A reply that is not judged."""

_RUNS = re.compile(rb"(?s)(.)\1{%d,}" % (_RUN_BYTES_MIN - 1))


class ReproClause(msgspec.Struct, frozen=True):
    """A clause that was not kept."""

    id: str
    level: str
    text: str


class Story(msgspec.Struct, frozen=True):
    """What is reported of a failure, apart from its steps.

    Attributes:
        case: its name, ``wire....``.
        clauses: what it checks.
        target: as it was given, without a password.
        expected: what the clause asks for.
        actual: what came.
        is_judged: whether the steps themselves say what is right.
        is_strict: whether an equal value in other bytes is wrong as well.
        seed: of the run.
        effort: of the run.
        transcript: the conversation as it was.
        suite_version: of kvbench.
        python: version.
    """

    case: str
    clauses: tuple[ReproClause, ...]
    target: str
    expected: str
    actual: str
    is_judged: bool
    is_strict: bool
    seed: str
    effort: int
    transcript: tuple[Exchange, ...]
    suite_version: str = __version__
    python: str = platform.python_version()


class ReproFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A repro file, and any file of vectors too: that has no ``failure``."""

    schema: Literal["kvbench-vectors/1"]
    area: str
    vectors: tuple[Vector, ...] = ()
    failure: Story | None = None


def write_repro(
    directory: Path, target: str, case: Case, context: WireContext, error: CaseFailed
) -> str:
    """Write the repro file of a failed wire case.

    Of a conversation that is too long to play, the file has the end; the case itself runs again.

    Returns:
        Its path; empty where it could not be written.
    """
    file = make_repro(case, context, error, target)
    # Of its case, not of its vector: several cases play the same one, and may fail several times.
    number = f"-{error.number + 1}" if error.number else ""
    path = directory / f"{_file_name(case.name)}{number}.json"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n")
    except OSError:
        return ""
    return str(path)


def make_repro(case: Case, context: WireContext, error: CaseFailed, target: str) -> ReproFile:
    """The repro of a case that has just failed."""
    ledger = {clause.id: clause for clause in specs.clauses()}
    known = [ledger[one] for one in error.clauses or case.clauses if one in ledger]
    vector, is_judged = _vector_of(case), True
    is_strict = case.name.startswith("wire.preferred.")
    if vector is None:
        vector, is_judged = _vector_from(case, context.shown, error)
    elif is_strict:
        vector = msgspec.structs.replace(vector, steps=[_preferred(one) for one in vector.steps])
    story = Story(
        case=case.name,
        clauses=tuple([ReproClause(one.id, one.level, one.text) for one in known]),
        target=target,
        expected=error.expected,
        actual=error.actual,
        is_judged=is_judged,
        is_strict=is_strict,
        seed=error.seed or context.run_seed,
        effort=context.effort,
        transcript=context.transcript,
    )
    return ReproFile("kvbench-vectors/1", "failure", (vector,), clean(story))


def read_repro(path: Path) -> ReproFile:
    """Read a repro file, or a file of vectors.

    Raises:
        UsageError: it cannot be read, is neither, or could not be played to an end.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise ValueError(f"it has more than {FILE_BYTES_MAX} bytes")
        file = decode(msgspec.json.Decoder(ReproFile).decode, content)
        if file.failure is not None and not 1 <= file.failure.effort <= EFFORT_RIGOROUS:
            raise ValueError(f"effort is 1 to {EFFORT_RIGOROUS}, not {file.failure.effort}")
        for vector in file.vectors:
            check_numbers(vector)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path} is neither a repro file nor one of vectors: {error}") from None
    return file


def _file_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _vector_of(case: Case) -> Vector | None:
    """The vector that a case plays, when it is one."""
    kind, _, name = case.name.removeprefix("wire.").partition(".")
    if kind not in ("vector", "optional", "preferred"):
        return None
    return next((vector for vector in specs.vectors() if vector.id == name), None)


def _preferred(step: VectorStep) -> VectorStep:
    """A step that allows only what a server SHOULD answer."""
    expect = [msgspec.structs.replace(one, status=one.status[:1]) for one in step.expect]
    return msgspec.structs.replace(step, expect=expect)


# --- From a conversation to steps ------------------------------------------------------------


@dataclass(slots=True)
class _Draft:
    """A step that is still growing."""

    connection: str
    note: str = ""
    send: Bytes = ""
    pieces: int = 0
    wait_ms: int = 0
    finish: bool = False
    replies: list[WireReply] = field(default_factory=list)
    expect: list[ExpectedReply] = field(default_factory=list)


def _vector_from(case: Case, context: WireContext, error: CaseFailed) -> tuple[Vector, bool]:
    """A vector of what a case did, and whether it says which reply was wrong."""
    drafts = _drafts(context)
    is_judged = _judge(drafts, error) and len(drafts) <= STEPS_MAX
    token = context.prefix.encode()
    keys = [
        key.replace(token, KEY_TOKEN.encode()).decode("utf-8", "replace")
        for key in context.owned
        if key.startswith(token)
    ]
    vector = Vector(
        id=_file_name(case.name),
        clauses=list(case.clauses),
        description=case.doc or case.name,
        steps=[
            VectorStep(
                note=one.note,
                send=one.send,
                expect=one.expect,
                pieces=one.pieces,
                connection=one.connection,
                finish=one.finish,
                wait_ms=one.wait_ms,
            )
            for one in drafts[-STEPS_MAX:]
        ],
        keys=keys,
        needs=sorted(case.needs),
    )
    return vector, is_judged


def _drafts(context: WireContext) -> list[_Draft]:
    drafts: list[_Draft] = []
    streams: dict[str, bytearray] = {}
    previous_ms = 0.0
    for event in context.trace.events:
        if event.direction == ">":
            drafts.append(_sent(event, context.prefix, event.at_ms - previous_ms))
        elif event.direction == "<":
            stream = streams.setdefault(event.connection, bytearray())
            stream += event.data
            replies = [WireReply(*parts) for parts in take_frames(stream)]
            if not drafts or drafts[-1].connection != event.connection or drafts[-1].finish:
                drafts.append(_Draft(event.connection))
            drafts[-1].replies += replies
        elif event.note == "sending side closed":
            drafts.append(_Draft(event.connection, note=event.note, finish=True))
        previous_ms = event.at_ms
    return drafts


def _sent(event: TraceEvent, prefix: str, gap_ms: float) -> _Draft:
    data = event.data.replace(prefix.encode(), KEY_TOKEN.encode())
    return _Draft(
        event.connection,
        send=_hex(data),
        pieces=event.pieces,
        wait_ms=round(gap_ms) if gap_ms >= _PAUSE_MS else 0,
    )


def _judge(drafts: list[_Draft], error: CaseFailed) -> bool:
    """Give each step its expectations; whether one of them is what the clause asks for.

    The reply that failed the case is the last one that reads as the error says.
    """
    is_judged = False
    for draft in reversed(drafts):
        for reply in reversed(draft.replies):
            expected = _ANY
            if error.wanted is not None and not is_judged and error.actual.startswith(str(reply)):
                expected, is_judged = error.wanted, True
                draft.note = draft.note or "here it fails"
            draft.expect.insert(0, expected)
    # Hung up on: what is asked for is that something comes.
    if error.expected == "a response" and drafts:
        drafts[-1].expect.append(_ANY)
        is_judged = True
    return is_judged


def _hex(data: bytes) -> Bytes:
    """Bytes as vectors write them: hex, with long runs as repeats."""
    parts: list[Hex | Repeat] = []
    end = 0
    for run in _RUNS.finditer(data):
        if run.start() > end:
            parts.append(data[end : run.start()].hex(" "))
        parts.append(Repeat(run.group(1).hex(), len(run.group())))
        end = run.end()
    if not parts:
        return data.hex(" ")
    if end < len(data):
        parts.append(data[end:].hex(" "))
    return parts
