"""The server: the engine behind the wire protocol, over TCP.

``dispatch`` request in, response out, without I/O · ``jobs`` large requests in steps ·
``connection`` one client's byte stream · ``turns`` who is served when · ``tcp`` listening,
housekeeping and an orderly end · ``config`` the limits · ``stats`` what INFO tells · ``logs`` log
lines for people or machines.
"""
