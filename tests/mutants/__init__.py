"""Deliberately wrong servers: proof that the wire suite sees what it claims to see.

A mutant is the reference server with one part of it replaced, so that it breaks the clauses that
it names and as little else as can be. It is killed when a case of each of these clauses fails; a
mutant that lives shows a hole in the suite, and then a case is missing. The modules hold the
mutants by area; ``parts`` has what they are made of, ``running`` serves one, ``hunt`` sets the
suite on it.

``python -m tests.mutants`` writes the kill matrix: every mutant against every case.
"""
