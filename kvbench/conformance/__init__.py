"""The conformance suite: does an implementation keep the promises of the protocol and the contract?

``case`` what a case is · ``wire`` and ``store`` what cases work with · ``cases/`` the cases ·
``play`` plays vectors · ``profile`` what a target declares · ``targets`` finds and opens it ·
``runner`` runs cases and gives verdicts · ``linearizability`` judges concurrent histories ·
``plugin`` the same for pytest. The clauses are in ``specs/clauses.toml``.
"""
