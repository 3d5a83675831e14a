"""The server: the engine behind the wire protocol, over TCP.

``dispatch`` request in, response out, without I/O · ``connection`` one client's byte stream ·
``tcp`` listening, housekeeping and an orderly end · ``config`` the limits · ``stats`` what INFO
tells · ``logs`` log lines for people or machines.
"""
