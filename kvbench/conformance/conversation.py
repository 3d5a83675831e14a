"""A conversation as it is recorded: what was sent, what came, and the replies in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, cast

from kvbench.conformance.case import CaseFailed
from kvbench.protocol.opcodes import Status
from kvbench.specs import STATUSES, Payload, Reply, StatusName


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened on a connection.

    Attributes:
        at_ms: milliseconds since the case began.
        connection: its name, ``a`` being the first.
        direction: ``>`` sent, ``<`` received, ``!`` an event, told in ``note``.
        data: the bytes.
        note: the event.
        pieces: they were sent in pieces of so many bytes; 0 for all at once.
    """

    at_ms: float
    connection: str
    direction: str
    data: bytes = b""
    note: str = ""
    pieces: int = 0


@dataclass(frozen=True, slots=True)
class WireReply:
    """A response as it came."""

    status: int
    payload: bytes

    def __str__(self) -> str:
        name = Status(self.status).name if self.status in list(Status) else "no such status"
        shown = self.payload[:64].hex(" ")
        more = f"... ({len(self.payload)} bytes)" if len(self.payload) > 64 else ""
        return f"{self.status:02x} {name}, payload {shown or 'empty'}{more}"

    @property
    def is_refusal(self) -> bool:
        """Whether the request was refused: ERROR or INVALID."""
        return self.status in (Status.ERROR, Status.INVALID)

    def expect(self, status: int, payload: bytes | None = None) -> Self:
        """Fail the case unless this is the reply that the clause asks for; returns it."""
        if self.status != status or (payload is not None and self.payload != payload):
            wanted = str(WireReply(status, payload)) if payload is not None else f"{status:02x}"
            raise CaseFailed(wanted, str(self), wanted=_reply((status,), payload))
        return self

    def expect_refusal(self) -> Self:
        """Fail the case unless this is ERROR or INVALID; returns it."""
        if not self.is_refusal:
            refusal = _reply((Status.INVALID, Status.ERROR), None)
            raise CaseFailed("a refusal: ERROR or INVALID", str(self), wanted=refusal)
        return self


def _reply(statuses: tuple[int, ...], payload: bytes | None) -> Reply:
    """An expected reply in the words of the vectors; a payload of None may be anything."""
    names = [name for name, code in STATUSES.items() if code in statuses]
    return Reply(cast(list[StatusName], names), Payload() if payload is None else payload.hex())
