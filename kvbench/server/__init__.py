"""The server: the engine behind the wire protocol, over TCP.

``dispatch`` request in, response out, without I/O · ``jobs`` large requests in steps ·
``connection`` one client's byte stream · ``turns`` fair scheduling of connections · ``tcp``
listening, timers and shutdown · ``config`` the limits · ``stats`` the counters of INFO · ``logs``
log lines for people or machines.
"""
