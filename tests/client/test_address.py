"""Addresses: every form that a user may write is read; anything else is refused with advice."""

from __future__ import annotations

import pytest

from kvbench import specs
from kvbench.client import Address
from kvbench.errors import UsageError

VECTORS = [entry for file in specs.vector_files() for entry in file.addresses]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.address)
def test_vectors(vector):
    address = Address.parse(vector.address)
    assert (address.host, address.port, address.namespace) == (
        vector.host, vector.port, vector.namespace,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "host", "port", "namespace"),
    [
        ("kvb+async://h:1/n", "h", 1, "n"),
        ("KVB://H:1/N", "H", 1, "N"),
        ("h:65535", "h", 65535, ""),
        ("h:00080", "h", 80, ""),
        ("h/a:b", "h", 16380, "a:b"),
        ("h/a/b/", "h", 16380, "a/b/"),
        ("h//a", "h", 16380, "/a"),
        ("h/http://x", "h", 16380, "http://x"),
        ("h/é☃ 𝄞", "h", 16380, "é☃ 𝄞"),
        ("kvb://h/", "h", 16380, ""),
        ("[fe80::1%eth0]:7/n", "fe80::1%eth0", 7, "n"),
        ("bücher.example", "bücher.example", 16380, ""),
        ("h/" + "n" * 254, "h", 16380, "n" * 254),
    ],
)
def test_forms_beyond_the_vectors(text, host, port, namespace):
    assert Address.parse(text) == Address(host, port, namespace)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "write host:port/namespace"),
        ("/tasks", "write host:port/namespace"),
        (":16380", "write host:port/namespace"),
        ("kvb://", "write host:port/namespace"),
        ("kvb:///tasks", "write host:port/namespace"),
        ("user@h:1", "write host:port/namespace"),
        ("ho st:1", "write host:port/namespace"),
        ("h\0st:1", "write host:port/namespace"),
        ("h?x=1", "write host:port/namespace"),
        ("redis://h:1", "scheme of this protocol is kvb://"),
        ("kvb://kvb+async://h", "scheme of this protocol is kvb://"),
        ("h:", "port '' is not a number"),
        ("h:x", "port 'x' is not a number"),
        ("h:-1", "port '-1' is not a number"),
        ("h:١", "is not a number"),
        ("h:0", "port 0 is not 1 to 65535"),
        ("h:65536", "port 65536 is not 1 to 65535"),
        ("h:" + "9" * 5000, "is not 1 to 65535"),
        ("::1", r"\[::1\]:16380"),
        ("2001:db8::7:7000", r"\[::1\]:16380"),
        ("[::1", r"\[::1\]:16380"),
        ("[::1]7000", r"\[::1\]:16380"),
        ("[]:7000", r"\[::1\]:16380"),
        ("[localhost]:7000", r"\[::1\]:16380"),
        ("[::1]:", "port '' is not a number"),
        ("h/" + "n" * 255, "leaves no room in 256 bytes"),
        ("h/" + "☃" * 85, "leaves no room in 256 bytes"),
        ("h/\ud800", "not valid Unicode"),
        (None, "must be a str"),
        (b"h:1", "must be a str"),
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_what_to_write(text, advice):
    with pytest.raises(UsageError, match=advice):
        Address.parse(text)


@pytest.mark.parametrize(
    ("text", "prefix"), [("h", b""), ("h/", b""), ("h/a/b", b"a/b:"), ("h/é", b"\xc3\xa9:")]
)
def test_prefix_is_the_namespace_and_a_colon(text, prefix):
    assert Address.parse(text).prefix == prefix


@pytest.mark.parametrize("text", ["h:1", "h:1/a/b", "[::1]:16380", "[::1]:7/n"])
def test_an_address_reads_as_it_is_written(text):
    assert str(Address.parse(text)) == text
