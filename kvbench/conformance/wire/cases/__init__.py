"""The cases of the wire suite, registered by importing this package, in the order of running.

Cases that others need come first: silence, those of SET and GET, then the vectors by area, then
what takes code to check.
"""

from __future__ import annotations

# In the order in which they run.
# isort: off
from kvbench.conformance.wire.cases import framing  # noqa: F401
from kvbench.conformance.wire.cases import first  # noqa: F401
from kvbench.conformance.wire.cases import vectors  # noqa: F401
from kvbench.conformance.wire.cases import server  # noqa: F401
from kvbench.conformance.wire.cases import values  # noqa: F401
from kvbench.conformance.wire.cases import sizes  # noqa: F401
from kvbench.conformance.wire.cases import comparisons  # noqa: F401
from kvbench.conformance.wire.cases import everywhere  # noqa: F401
from kvbench.conformance.wire.cases import alike  # noqa: F401
from kvbench.conformance.wire.cases import lifetimes  # noqa: F401
from kvbench.conformance.wire.cases import times  # noqa: F401
from kvbench.conformance.wire.cases import connections  # noqa: F401
from kvbench.conformance.wire.cases import damage  # noqa: F401
from kvbench.conformance.wire.cases import generated  # noqa: F401
from kvbench.conformance.wire.cases import walks  # noqa: F401
from kvbench.conformance.wire.cases import concurrency  # noqa: F401
# isort: on
