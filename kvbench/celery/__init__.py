"""A Celery result backend on a server of the wire protocol.

``result_backend = "kvb://host:port/namespace"`` is all that an app needs: Celery finds
:class:`KvbBackend` by its entry point. ``backend`` maps Celery's calls to those of a client,
``chords`` counts the parts of chords, ``pauses`` says when to ask again, ``connections`` is a pool
of clients for the threads of a process, ``writer`` stores results that come within a window by one
request. Nothing here imports more of kvbench than its client.
"""

from kvbench.celery.backend import KvbBackend

__all__ = ["KvbBackend"]
