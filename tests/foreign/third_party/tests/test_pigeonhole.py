"""Kvbench's conformance suite, among this package's own tests."""

from pigeonhole import PigeonholeBackend

from kvbench.conformance.test_conformance import test_conformance as test_conformance


def test_a_key_is_a_file(tmp_path):
    with PigeonholeBackend.open(f"pigeonhole://{tmp_path}") as backend:
        backend.set("k", b"v")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"v"]
