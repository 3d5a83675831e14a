"""Typed values to bytes and back: ``tag u8`` and what follows it (spec section "Values").

Three modules, because a client encodes (``encode``) and decodes (``decode``), while a server only
checks (``check``), because it stores the received bytes, and sometimes compares (``compare``).
``layout`` has their shared parts.

Rules: every read is checked against the end of the data first; a declared count never allocates
anything; nothing recurses, and nesting is bounded; invalid *bytes* raise ProtocolError, an invalid
*Python value* raises TypeError or ValueError.
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
