"""A Celery result backend on a server of the wire protocol.

``result_backend = "kvb://host:port/namespace"`` is the only setting needed: Celery finds
:class:`KvbBackend` by its entry point. ``backend`` maps Celery's calls to those of a client,
``chords`` counts the parts of chords, ``pauses`` has the polling intervals, ``connections`` is a
pool of clients for the threads of a process, ``writer`` stores the results of a window by one
request. Of kvbench, this package imports only the client.
"""

from kvbench.celery.backend import KvbBackend

__all__ = ["KvbBackend"]
