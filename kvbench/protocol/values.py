"""Typed values to bytes and back: ``tag u8`` and what follows it (spec section "Values").

Three ways in, because three parties need different things from the same bytes: a client encodes
(``encode``) and decodes (``decode``); a server only checks (``check``), for it stores the bytes as
they came, and compares now and then (``compare``). ``layout`` has what all of them share.

Rules: every read is checked against the end of the data before it happens; a declared count never
sizes anything; nothing recurses, and nesting is bounded; whatever is wrong with the *bytes* is a
ProtocolError, whatever is wrong with a *Python value* a TypeError or ValueError.
"""

from kvbench.protocol.check import ValueCheck, skip_value
from kvbench.protocol.compare import ValueComparison, values_equal
from kvbench.protocol.decode import ValuesDecoder, decode_value, read_value
from kvbench.protocol.encode import encode_value
from kvbench.protocol.layout import NESTING_DEPTH_MAX

__all__ = [
    "NESTING_DEPTH_MAX",
    "ValueCheck",
    "ValueComparison",
    "ValuesDecoder",
    "decode_value",
    "encode_value",
    "read_value",
    "skip_value",
    "values_equal",
]
