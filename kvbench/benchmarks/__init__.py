"""Benchmarks of a store for pytest-benchmark: its calibration, its tables, its JSON.

``plugin`` the fixtures and options · ``store`` an open store with isolated keys, and one benchmark
of it · ``test_store`` ready benchmarks: ``pytest --pyargs kvbench.benchmarks --benchmark-only``.
"""
