"""Redaction: whatever a URL looks like, its secret is not in what is shown; figures stay whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvbench.redaction import HIDDEN, Secrets, expand, redact_url, url_problem

SHOWN = [
    ("redis://me:secret@host:6379/0", "redis://me:***@host:6379/0"),
    ("redis://:secret@host", "redis://:***@host"),
    ("redis://me:12345@host", "redis://me:***@host"),
    ("redis://me@corp.com:S3cr3t@h", "redis://me@corp.com:***@h"),
    ("redis://me:se/c@ret@host/0", "redis://me:***@host/0"),
    ("redis://me:a b?c#d@host", "redis://me:***@host"),
    ("redis://me:123/456@host", "redis://me:***@host"),
    ("redis://me:secret@[::1]:6379/0", "redis://me:***@[::1]:6379/0"),
    ("redis://me:secret@host:99999", "redis://me:***@host:99999"),
    ("redis://token@host/0", "redis://***@host/0"),
    ("kvb://u:pw@h", "kvb://u:***@h"),
    ("u:pw@h:16380", "u:***@h:16380"),
    ("redis:/u:pw@h", "redis:***@h"),
    ("--profile=redis://u:pw@h=a.toml", "--profile=redis://u:***@h=a.toml"),
    ("x://host/0?password=secret&db=1", "x://host/0?password=***&db=1"),
    ("x://host/0?db=1&SSL_Password=a&b", "x://host/0?db=1&SSL_Password=***"),
    ("x://host/0?pass%77ord=secret#more", "x://host/0?pass%77ord=***"),
    ("x://host/0?auth_token=1&api-key=2&pw=3", "x://host/0?auth_token=***&api-key=***&pw=***"),
    ("x://[::1]:1/0?token=p@ss", "x://[::1]:1/0?token=***"),
    ("x://h:1/0?password=p@ss", "x://h:***"),
    ("x://h?password=a?b#c=d", "x://h?password=***"),
    ("redis://me:${REDIS_PASSWORD}@host", "redis://me:***@host"),
]

UNCHANGED = [
    "kvb://host:16380/tasks@home",
    "kvb://[::1]:16380/tasks@home",
    "kvb+async://host:1",
    "memory://",
    "sqlite:///tmp/a@b.db",
    "x://host/0?db=1&timeout=2",
    "redis://me:@host",
    "redis://me:***@host?password=***",
    "results@2.jsonl",
    "--seed",
    "",
]


@pytest.mark.parametrize(("url", "shown"), [*SHOWN, *[(url, url) for url in UNCHANGED]])
def test_passwords_are_hidden_and_nothing_else(url, shown):
    assert redact_url(url) == shown
    assert redact_url(shown) == shown


anything = st.text(max_size=12)
names = st.text(st.characters(exclude_characters=":@/?#[]"), max_size=8)
places = st.sampled_from(["h", "h:6379/0", "h:99999", "[::1]:6379", "corp.com", "h?db=1", "[", ""])
schemes = st.sampled_from(["redis", "valkey", "kvb", "sqlite", "X+y.z"])
secrets = anything.map(lambda text: f"Zq7{text}9Kx")


@given(schemes, names, secrets, places)
def test_no_part_of_a_password_survives(scheme, name, secret, place):
    """Whatever is in the password: at its beginning and end stand marks that are nowhere else."""
    shown = redact_url(f"{scheme}://{name}:{secret}@{place}")
    assert "Zq7" not in shown and "9Kx" not in shown and HIDDEN in shown
    assert redact_url(shown) == shown


@given(st.sampled_from(["password", "Token", "a_secret_", "%70w"]), secrets, st.booleans())
def test_no_part_of_a_secret_parameter_survives(name, secret, is_first):
    """The end of a value is the next ``name=``: only then can the rest be something else."""
    secret = secret.replace("=", "")
    url = f"x://h:1/0?{name}={secret}&db=1" if is_first else f"x://h/0?db=1&{name}={secret}"
    assert "Zq7" not in redact_url(url) and "9Kx" not in redact_url(url)


@given(anything)
def test_any_text_can_be_asked(text):
    assert redact_url(redact_url(text)) == redact_url(text)
    url_problem(text)
    Secrets().redact(text)


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:a/b@h", "redis://u:a?b@h", "redis://u:a#b@h", "redis://u:a[b@h",
        "redis://u:pw@h:99999", "redis://u:pw@h:x", "redis://u:a\tb@h", "redis://u:\u2100@h",
    ],
)  # fmt: skip
def test_a_url_that_a_driver_would_misread_is_a_problem(url):
    """The standard parser takes a part of each for something else, or fails and quotes it."""
    assert "percent-encode" in url_problem(url)


@pytest.mark.parametrize(
    "url",
    ["redis://u:a%2Fb@h:6379/0", "redis://me@corp.com:x@h", "redis://u:a b@[::1]", *UNCHANGED],
)
def test_a_url_that_a_driver_reads_right_is_none(url):
    assert url_problem(url) == ""


# --- A process's secrets in the texts of others ---------------------------------------------------


def redacted(text, *urls):
    secrets = Secrets()
    for url in urls:
        secrets.learn(url)
    return secrets.redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "'{url}' is no URL",
        "no URL: {tail}",
        "unable to open /tmp/{tail}",
        "valkey://{tail} became redis://{tail}",
        "WRONGPASS {secret} is wrong",
        "bad: {repr}",
        "bad: {json}",
        "bad: {quoted}, {plus}",
    ],
)
@given(secret=secrets)
def test_a_driver_cannot_quote_a_password(text, secret):
    import json
    from urllib.parse import quote, quote_plus

    url = f"redis://me:{secret}@host:6379/0"
    shown = redacted(
        text.format(
            url=url, tail=f"me:{secret}@host:6379/0", secret=secret, repr=repr(url),
            json=json.dumps(secret), quoted=quote(secret, ""), plus=quote_plus(secret),
        ),
        url,
    )  # fmt: skip
    for one in (shown, redacted(" ".join(repr(url).split()), url)):
        assert "Zq7" not in one and "9Kx" not in one


def test_an_unknown_url_in_a_text_is_redacted_as_well():
    text = "cannot reach redis://me:secret@host: refused (x://h?token=a&b=c)"
    assert redacted(text) == "cannot reach redis://me:***@host: refused (x://h?token=***&b=c)"
    assert redacted("x://h?token=a: 'y://h?pw=b', no") == "x://h?token=***: 'y://h?pw=***', no"


@pytest.mark.parametrize("password", ["1", "10", "0.5", "12.3M", "100,000", "1000000", "9.99 ns"])
def test_a_password_that_looks_like_a_figure_spoils_no_figure(password):
    """It is hidden where it stands as a value does: quoted, assigned, or before a host."""
    url = f"redis://:{password}@h"
    table = f"mget × {password}: {password} keys/s [{password}, {password}], 1{password}2 left"
    assert redacted(table, url) == table
    text = f"'{password}' is wrong; password={password} :{password}@ {url}"
    assert redacted(text, url) == "'***' is wrong; password=*** :***@ redis://:***@h"


@pytest.mark.parametrize("url", ["redis://redis:redis-x@redis-x", "redis://u:localhost@localhost"])
def test_a_password_that_is_shown_anyway_spoils_no_name(url):
    name = redact_url(url)
    assert redacted(f"{name}: cannot reach {url}", url) == f"{name}: cannot reach {name}"


# --- From the environment -------------------------------------------------------------------------


def test_a_password_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("KV_USER", "me")
    monkeypatch.setenv("KV_PASSWORD", "a/b@c:d e%$")
    url = expand("redis://${KV_USER}:${KV_PASSWORD}@h:1/0?ssl_password=${KV_PASSWORD}&x=${KV_USER}")
    encoded = "a%2Fb%40c%3Ad%20e%25%24"
    assert url == f"redis://me:{encoded}@h:1/0?ssl_password={encoded}&x=${{KV_USER}}"
    assert url_problem(url) == ""
    assert redact_url(url) == "redis://me:***@h:1/0?ssl_password=***&x=${KV_USER}"
    assert redacted("a/b@c:d e%$ is wrong", url) == "*** is wrong"


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_is_named(monkeypatch, value):
    monkeypatch.delenv("KV_PASSWORD", raising=False)
    if value is not None:
        monkeypatch.setenv("KV_PASSWORD", value)
    with pytest.raises(KeyError, match="KV_PASSWORD"):
        expand("redis://:${KV_PASSWORD}@h")
    assert expand("sqlite:///tmp/${KV_PASSWORD}.db") == "sqlite:///tmp/${KV_PASSWORD}.db"
