"""Automatic mutation: does the wire suite notice faults that nobody chose?

``operators`` make mutants of the reference server from its source, ``foreign`` of the server in Go
from its text · ``equivalents`` lists those that no client can notice, each with its reason ·
``trial`` runs the suite against one · ``reach`` finds what the suite reaches at all · ``report``
sums up · ``__main__`` tries a sample and writes ``reports/conformance/mutation.md``.
"""
