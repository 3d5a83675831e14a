"""When a value that came back is the one that was stored (VALUE-016).

Stricter than CAS, which compares numbers: the sign of a zero counts. And where CAS finds no NaN
equal to anything, a NaN that comes back is the NaN that was stored. The exponent of a Decimal, the
order of a Map and the payload of a NaN may change on the way.
"""

from __future__ import annotations

import math
from decimal import Decimal

from kvbench.model import Value


def same_value(stored: Value, found: Value) -> bool:
    """Whether ``found`` is ``stored`` as it may come back: of one type, and equal."""
    if type(stored) is not type(found):
        return False
    if isinstance(stored, list) and isinstance(found, list):
        pairs = zip(stored, found, strict=False)
        return len(stored) == len(found) and all(same_value(*pair) for pair in pairs)
    if isinstance(stored, dict) and isinstance(found, dict):
        return stored.keys() == found.keys() and all(
            same_value(value, found[key]) for key, value in stored.items()
        )
    if _is_nan(stored) or _is_nan(found):
        return _is_nan(stored) and _is_nan(found)
    return stored == found and _is_negative(stored) == _is_negative(found)


def _is_nan(value: Value) -> bool:
    if isinstance(value, Decimal):
        return value.is_nan()
    return isinstance(value, float) and math.isnan(value)


def _is_negative(value: Value) -> bool:
    """Whether a number has a minus sign; a zero can have one."""
    if isinstance(value, Decimal):
        return value.is_signed()
    return isinstance(value, float) and math.copysign(1, value) < 0
