"""The conformance suite: does an implementation keep the promises of the protocol and the contract?

``wire/`` the suite that sends raw bytes · ``backend/`` the suite that calls an adapter · ``case``
what cases and suites are · ``findings`` what a case reports · ``isolation`` keys that no other run
has · ``target`` what is checked · ``suites`` both suites · ``selection`` which clauses and cases ·
``profile`` what a target declares · ``targets`` finds and opens it, and what it can do · ``runner``
runs the cases and sums up · ``replay`` a failed conversation, again · ``plugin`` the same for
pytest. The clauses are in ``specs/clauses.toml``.
"""
