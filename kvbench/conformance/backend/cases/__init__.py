"""The cases of the backend suite, registered by importing this package, in the order of running.

Cases that others need come first.
"""

from __future__ import annotations

# In the order in which they run.
# isort: off
from kvbench.conformance.backend.cases import base  # noqa: F401
from kvbench.conformance.backend.cases import keys  # noqa: F401
from kvbench.conformance.backend.cases import values  # noqa: F401
from kvbench.conformance.backend.cases import batches  # noqa: F401
from kvbench.conformance.backend.cases import pipelines  # noqa: F401
from kvbench.conformance.backend.cases import ttl  # noqa: F401
from kvbench.conformance.backend.cases import counters  # noqa: F401
from kvbench.conformance.backend.cases import cas  # noqa: F401
from kvbench.conformance.backend.cases import locks  # noqa: F401
from kvbench.conformance.backend.cases import atomic  # noqa: F401
from kvbench.conformance.backend.cases import errors  # noqa: F401
from kvbench.conformance.backend.cases import generated  # noqa: F401
# isort: on
