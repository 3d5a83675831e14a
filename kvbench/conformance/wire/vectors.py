"""Plays the vectors of ``specs/vectors`` over real connections: most of the wire suite is data.

A vector is played for its MUST clauses, for its other clauses, and for those of the other clauses
that are about the choice itself (:data:`PREFERENCES`). Any reply that the spec allows will do:
either refusal where two are allowed, and a value in another encoding where it is the same value (a
server may decode and encode anew). Only for a preference must the reply be the preferred one, byte
for byte.

A vector can come from a foreign file. It is checked before the first byte is sent: its
numbers must be such that playing ends (:func:`check_numbers`), and its keys must begin with the
prefix (:func:`check_keys`): those that it lists are deleted, and what it sends passes the guard.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable

from kvbench.conformance.findings import (
    CaseFailed,
    ConnectionEnded,
    DoesNotApply,
    NoReply,
    SetupFailed,
    SeveralFindings,
    TargetLost,
)
from kvbench.conformance.isolation import ForeignKeyError
from kvbench.conformance.wire.codec import values_of
from kvbench.conformance.wire.connection import WireConnection
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.equality import same_value
from kvbench.conformance.wire.guard import StreamGuard
from kvbench.conformance.wire.trace import WireReply
from kvbench.errors import UsageError
from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX, Status
from kvbench.specs import (
    KEY_TOKEN,
    STATUSES,
    Bytes,
    ExpectedReply,
    Payload,
    Repeat,
    Vector,
    VectorStep,
    unhex,
)


def play(
    context: WireContext, vector: Vector, clauses: Collection[str], *, is_strict: bool
) -> None:
    """Play one vector under the context's own key prefix, and judge its steps for ``clauses``.

    A step that goes wrong counts against its own clauses. Those behind it that depend on it
    (:class:`kvbench.specs.VectorStep`) are not looked at. Where time passes and a step came so late
    that a key may have expired by right, the vector is played again.

    Args:
        context: of the case.
        vector: what to play.
        clauses: those of the vector that are judged.
        is_strict: whether their steps must be answered as a server SHOULD answer.

    Raises:
        SeveralFindings: a step went wrong, was not looked at, or is about what the target lacks.
    """
    token = context.prefix
    context.own([key.replace(KEY_TOKEN, token).encode() for key in vector.keys])
    for _ in range(ATTEMPTS):
        player = _Player(context, vector, frozenset(clauses), is_strict)
        for step in vector.steps:
            player.judge(step)
        if not player.is_in_doubt:
            break
        context.delete_keys()
    findings = player.findings
    if player.is_in_doubt:
        reason = SetupFailed(f"{vector.id} came {player.late_ms:.0f} ms late, {ATTEMPTS} times")
        findings = [(judged, reason) for judged, _ in findings]
    unseen = [one for one in clauses if one not in player.seen]
    if unseen:
        findings.append((unseen, DoesNotApply(f"not declared: {', '.join(player.missing)}")))
    if findings:
        raise SeveralFindings(findings)


LATE_MS = 80.0
"""A vector's keys may be gone that are looked at so much later than its waits say."""

ATTEMPTS = 3
"""How often a vector is played in which a busy machine was late."""

_ABOUT_CONNECTIONS = {"CONN", "LIMIT", "PIPE"}
"""Areas of clauses that say when a connection ends, and when it does not."""


class _Player:
    """Plays the steps of a vector, and keeps what was found of each.

    Attributes:
        findings: the clauses of each step that went wrong or could not be looked at, and why.
        seen: the clauses that a step has said something of.
        missing: capabilities for want of which steps were left out.
        late_ms: how much longer the steps took than their waits, up to the last that went wrong.
    """

    def __init__(
        self, context: WireContext, vector: Vector, clauses: frozenset[str], is_strict: bool
    ) -> None:
        self._context = context
        self._vector = vector
        self._clauses = clauses
        self._is_strict = is_strict
        self._connections: dict[str, WireConnection] = {}
        self._gone_wrong: dict[str, str] = {}  # By part: why the steps behind it cannot be judged.
        self._lost = ""
        self.findings: list[tuple[list[str], CaseFailed | SetupFailed | DoesNotApply]] = []
        self.seen: set[str] = set()
        self.missing: list[str] = []
        self.late_ms = 0.0
        self._began = time.monotonic()
        self._waited_ms = 0.0

    @property
    def is_in_doubt(self) -> bool:
        """Whether a key may have expired by right because the machine was late."""
        is_timed = any(step.wait_ms for step in self._vector.steps)
        return is_timed and self.late_ms > LATE_MS and not self._lost

    def judge(self, step: VectorStep) -> None:
        """Play a step, unless it depends on one that went wrong or on what the target lacks."""
        # Time passes for the steps behind it, whatever went wrong before.
        time.sleep(step.wait_ms / 1000)
        self._waited_ms += step.wait_ms
        judged = [clause for clause in step.clauses if clause in self._clauses]
        missing = set(step.needs) - self._context.capabilities
        if missing:
            self.missing = sorted(missing | {*self.missing})
            return
        self.seen.update(judged)
        reason = self._reason_not_to_judge(step)
        if reason:
            if judged:
                self.findings.append((judged, SetupFailed(reason)))
            return
        try:
            self._take(step, is_strict=self._is_strict and bool(judged))
            lost = self._context.loss(None) if step.closed else None
            if lost is not None:
                raise lost
        except CaseFailed as error:
            self.late_ms = (time.monotonic() - self._began) * 1000 - self._waited_ms
            if isinstance(error, NoReply):
                self._leave()  # It may wait for one of them, and is not gone.
            error = self._context.loss(error) or error
            place = (
                f"in {self._vector.id}, {step.note!r}: " if step.note else f"in {self._vector.id}: "
            )
            self._gone_wrong.setdefault(step.part, f"{place}{error}")
            # What comes behind is judged on a connection that this step has not touched.
            self._connections.pop(step.connection, None)
            failed = error.placed(place)
            failed.grounds = self._context.grounds if error.grounds is None else error.grounds
            if isinstance(error, TargetLost):
                self._lost = f"{place}{error}"
            if judged or error.clauses:
                self.findings.append((judged, failed))

    def _leave(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _reason_not_to_judge(self, step: VectorStep) -> str:
        if self._lost:
            return self._lost
        if not step.part:
            return next(iter(self._gone_wrong.values()), "")
        return self._gone_wrong.get("") or self._gone_wrong.get(step.part, "")

    def _take(self, step: VectorStep, *, is_strict: bool) -> None:
        """Play a step; once more on a new connection where an earlier step had ended its own.

        Clauses about connections are the exception.
        """
        is_used = step.connection in self._connections
        try:
            self._exchange(step, is_strict=is_strict)
        except ConnectionEnded:
            areas = {clause.partition("-")[0] for clause in step.clauses}
            if not is_used or step.pieces or areas & _ABOUT_CONNECTIONS:
                raise
            self._connections.pop(step.connection)
            self._exchange(step, is_strict=is_strict)

    def _exchange(self, step: VectorStep, *, is_strict: bool) -> None:
        if step.connection not in self._connections:
            self._connections[step.connection] = self._context.connect()
        connection = self._connections[step.connection]
        if step.send:
            connection.send(step.request(self._context.prefix), step.pieces)
        if step.finish:
            connection.finish()
        for expected in step.expect:
            compare(expected, connection.read(), is_strict=is_strict)
        if step.closed:
            connection.expect_closed()


def compare(expected: ExpectedReply, reply: WireReply, *, is_strict: bool) -> None:
    """Hold a reply against what a vector expects.

    Raises:
        CaseFailed: it is another.
    """
    names = expected.status[:1] if is_strict else expected.status
    if reply.status not in [STATUSES[name] for name in names]:
        evidence = [] if reply.status in list(Status) else ["STATUS-001"]
        raise CaseFailed(" or ".join(names), str(reply), wanted=expected, clauses=evidence)
    problem = expected.mismatch(reply.status, reply.payload)
    if problem and (is_strict or not _means_the_same(expected, reply)):
        wanted = (
            str(WireReply(reply.status, unhex(expected.payload)))
            if isinstance(expected.payload, str | list)
            else f"{' or '.join(names)} as the vector describes it"
        )
        failed = CaseFailed(wanted, f"{reply} ({problem})" if len(problem) < 120 else str(reply))
        if _is_other_byte_order(expected, reply):
            failed.grounds = ()  # No operation that does not work answers so by chance.
        raise failed


def _is_other_byte_order(expected: ExpectedReply, reply: WireReply) -> bool:
    """Whether the last integer of the reply is the expected one, with its bytes reversed."""
    if not isinstance(expected.payload, str):
        return False
    wanted, width = unhex(expected.payload), 8
    is_number = len(wanted) in (width, width + 1) and wanted[-width:] != wanted[-width:][::-1]
    return is_number and reply.payload == wanted[:-width] + wanted[-width:][::-1]


def _means_the_same(expected: ExpectedReply, reply: WireReply) -> bool:
    """Whether the payload holds the expected values in another encoding of theirs."""
    if reply.status != Status.OK or not isinstance(expected.payload, str | list):
        return False
    left, right = values_of(unhex(expected.payload)), values_of(reply.payload)
    return (
        left is not None
        and right is not None
        and len(left) == len(right)
        and all(same_value(a, b) for a, b in zip(left, right, strict=True))
    )


# --- Vectors from a foreign file ----------------------------------------------------------------

STEPS_MAX = 2000
"""A conversation that is longer is nothing to read or to send around: it is no file, either."""

WAIT_MS_MAX = 60_000
"""Of one step. The longest wait of a vector is under 2 s."""

STEP_BYTES_MAX = 2 * PAYLOAD_BYTES_MAX
"""Sent by one step, or expected by it: more than what any server takes as one request."""

PIECES_MAX = 100_000
"""Sent by one step."""


def check_numbers(vector: Vector) -> None:
    """Look at how long and how large a vector is, and whether its bytes are hex.

    Raises:
        ValueError: a number is beyond its limit, or bytes are no hex.
    """
    if len(vector.steps) > STEPS_MAX:
        raise ValueError(f"{vector.id} has {len(vector.steps)} steps, more than {STEPS_MAX}")
    for number, step in enumerate(vector.steps, 1):
        try:
            _check_step(step)
        except ValueError as error:
            raise ValueError(f"step {number} of {vector.id}: {error}") from None


def check_keys(vector: Vector) -> None:
    """Look at whose keys a vector touches.

    Raises:
        UsageError: a key that it lists, or that it could write, is not under the prefix which a
            player replaces by its own.
    """
    for key in vector.keys:
        if not key.startswith(KEY_TOKEN):
            raise UsageError(
                f"{vector.id} would delete the key {key[:40]!r}, which does not begin with "
                f"{KEY_TOKEN!r}; to play it all the same, pass --allow-any-key"
            )
    guards: dict[str, StreamGuard] = {}
    for number, step in enumerate(vector.steps, 1):
        guard = guards.setdefault(step.connection, StreamGuard(KEY_TOKEN))
        try:
            guard.check(step.request(), step.pieces)
        except ForeignKeyError as error:
            raise UsageError(
                f"step {number} of {vector.id}: {error}; to play it all the same, pass "
                "--allow-any-key"
            ) from None


def _check_step(step: VectorStep) -> None:
    if not 0 <= step.wait_ms <= WAIT_MS_MAX:
        raise ValueError(f"wait_ms is 0 to {WAIT_MS_MAX}, not {step.wait_ms}")
    sent = _size(step.send)
    _check_size(sent)
    if step.pieces < 0 or (step.pieces and sent / step.pieces > PIECES_MAX):
        raise ValueError(f"pieces of {step.pieces} bytes are too many for {sent} bytes")
    expected = [one.payload for one in step.expect if not isinstance(one.payload, Payload)]
    _check_size(sum(map(_size, expected)))
    patterns = [one.payload for one in step.expect if isinstance(one.payload, Payload)]
    hexes = [text for one in patterns for text in (one.starts, *one.contains)]
    for content in (step.send, *expected, *hexes):
        unhex(content)


def _size(content: Bytes) -> int:
    """How many bytes there will be, before there are any."""
    parts: Iterable[str | Repeat] = [content] if isinstance(content, str) else content
    size = 0
    for part in parts:
        if isinstance(part, Repeat) and part.times < 0:
            raise ValueError(f"times is at least 0, not {part.times}")
        size += len(part.repeat) // 2 * part.times if isinstance(part, Repeat) else len(part) // 2
    return size


def _check_size(size: int) -> None:
    if size > STEP_BYTES_MAX:
        raise ValueError(f"{size} bytes are more than {STEP_BYTES_MAX} of one step")
