"""The conformance suite: does an implementation keep the promises of the protocol and the contract?

``case`` what a case is · ``wire`` and ``store`` what cases work with · ``cases/`` the cases ·
``play`` plays vectors · ``profile`` what a target declares · ``targets`` finds and opens it ·
``discover`` what it can do · ``selection`` which clauses and cases · ``examiner`` looks, case by
case · ``runner`` sums up · ``repro`` and ``replay`` a failed conversation, again ·
``linearizability`` judges concurrent histories · ``plugin`` the same for pytest. The clauses are in
``specs/clauses.toml``.
"""
