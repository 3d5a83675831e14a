"""Shown to hold: the coverage of the intervals by simulation, and their agreement between runs.

``python -m tests.method.coverage`` and ``python -m tests.method.agreement`` print the tables of
docs/method.md; ``nox -s coverage`` and ``nox -s agreement`` run them.
"""
