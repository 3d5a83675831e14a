"""The wire driver: what a server can do, without the cost of its Python client.

``drive`` (in :mod:`~kvbench.load.wire.drive`) measures; ``closed`` and ``open`` are its two loops
over ``connections``. ``prepared`` is a call as bytes with what is known of its answer, ``replies``
reads answers for the three protocols in ``resp``, ``kvb`` and ``memcached``, without I/O.
"""
