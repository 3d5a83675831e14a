"""Secrets in URLs: finds them, hides them, reads them from the environment, removes them from text.

A URL typed by a person is often parsed differently from what was meant: a password may contain
``@``, ``/``, ``?`` or a space that should have been percent-encoded. So it is read in two ways, and
whatever is a secret in either of them is hidden:

- the text between the first ``:`` and the **last** ``@`` is a password; without a ``:``, all of the
  user info is one, because some services take a token there;
- the value of a parameter whose name, percent-decoded and in any case, looks like a secret
  (:data:`_SENSITIVE`) is one, up to the next parameter.

If the two contradict the URL's grammar, too much is hidden rather than too little. The one
exception is ``kvb://host:port/namespace``: the protocol has no passwords, and a namespace may
contain ``@``.

Other text (a driver's exception, for example) may quote a URL or a password in another form.
:class:`Secrets` remembers the typed URLs and hides their secrets there. A short secret, or one that
looks like a number, is hidden only where a value is expected, so that no figure is damaged.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

HIDDEN = "***"

_SCHEME = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z0-9+.-]*)://")
"""The look-behind keeps the search linear in a long text of letters."""
_URL_IN_TEXT = re.compile(r"(?<![A-Za-z0-9+.-])[A-Za-z0-9+.-]*:/\S+")
"""One slash is enough: a URL treated as a path has lost the other one."""
_IPV6_PLACE = re.compile(r"\[[0-9A-Fa-f:.]+(?:%[^]@]*)?\](?::\d*)?(?:[/?#]|$)")
_PLACE_WITH_PORT = re.compile(r"[^/?#@:]*:\d{1,5}(?:[/?#]|$)")
_AFTER_PLACE = re.compile("[/?#]")
_SCHEMES_WITHOUT_USERS = frozenset({"kvb", "kvb+async"})

_PARAMETER = re.compile(r"[?&#;]([^=&?#;]*)=")
_SENSITIVE = re.compile(
    "pass|pwd|secret|token|auth|credential|api[-_]?key|access[-_]?key|private|signature|jwt|bearer"
    "|cookie|session|^(?:pw|key|sig|sas|psk|pin)$"
)

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

_DISTINCT_CHARS_MIN = 6
"""A shorter secret may be part of any word."""

_FIGURE = re.compile(r"[\d\W_]*\d[\d\W_]*[A-Za-zµ]{0,2}")


def redact_url(url: str) -> str:
    """``url``, or a word that contains a URL, with every secret replaced by ``***``.

    It never fails, for any ``url``, and leaves a redacted URL unchanged.
    """
    shown, end = [], 0
    for start, stop in _secret_spans(url):
        shown += [url[end:start], HIDDEN]
        end = stop
    return "".join([*shown, url[end:]])


def url_problem(url: str) -> str:
    """Why a parser would misread a URL with a password; empty if it would not.

    A driver that misreads it takes part of the password for a host or a port, and may print it.
    """
    if _user_info(url) is None:
        return ""
    try:
        parts = urlsplit(url)
        is_whole = parts.netloc.rpartition("@")[0] == url[slice(*_user_info(url) or (0, 0))]
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        is_whole = False
    if is_whole:
        return ""
    return (
        "user, password, host and port cannot be told apart: percent-encode special characters "
        "in a password (@ as %40, / as %2F, ? as %3F, # as %23), check that the port is 0 to 65535,"
        " or name an environment variable instead: ${REDIS_PASSWORD}"
    )


def expand(url: str) -> str:
    """``url`` with each ``${NAME}`` in user info and secret parameters read from the environment.

    A value is percent-encoded when inserted, so it may contain any character.

    Raises:
        KeyError: a variable is not set, or empty; its argument is the name.
    """

    def value_of(found: re.Match[str]) -> str:
        value = os.environ.get(found[1], "")
        if not value:
            raise KeyError(found[1])
        return quote(value, safe="")

    user_info = _user_info(url)
    places = _merged([*_secret_spans(url), *([user_info] if user_info else [])])
    expanded, end = [], 0
    for start, stop in places:
        expanded += [url[end:start], _PLACEHOLDER.sub(value_of, url[start:stop])]
        end = stop
    return "".join([*expanded, url[end:]])


class Secrets:
    """The secrets of the URLs given to a process; removes them from text."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}
        self._secrets: set[str] = set()
        self._open: set[str] = set()

    def learn(self, word: str) -> None:
        """Remember a URL, or an argument that may contain one."""
        spans = list(_secret_spans(word))
        if not spans:
            return
        # Adapters pass on a URL with another scheme, or without one.
        scheme = _SCHEME.search(word)
        for whole in {word, word[scheme.end() :] if scheme else word}:
            self._words |= {form: redact_url(form) for form in _written_forms(whole)}
        self._open.add(redact_url(word))
        for start, stop in spans:
            secret = word[start:stop]
            if secret != HIDDEN and not _PLACEHOLDER.fullmatch(secret):
                self._secrets |= set(_secret_forms(secret))
            # An option parser splits a word at its first =, and quotes what is before it.
            name_end = word.find("=", start, stop)
            if name_end > start:
                shown = redact_url(word[:start]) + HIDDEN
                self._words |= dict.fromkeys(_written_forms(word[:name_end]), shown)

    def redact(self, text: str) -> str:
        """``text`` without these secrets, and without those of any other URL in it."""
        # Whole secrets come first: a word that begins with a URL can be misread.
        for secret in sorted(self._secrets, key=len, reverse=True):
            if secret not in text:
                continue
            if self._is_distinct(secret):
                text = text.replace(secret, HIDDEN)
            else:
                text = _as_value(secret).sub(HIDDEN, text)
        for word in sorted(self._words, key=len, reverse=True):
            text = text.replace(word, self._words[word])
        return _URL_IN_TEXT.sub(_redact_found, text)

    def _is_distinct(self, secret: str) -> bool:
        """Whether it can only be the secret, in any place."""
        return (
            len(secret) >= _DISTINCT_CHARS_MIN
            and not _FIGURE.fullmatch(secret)
            and not any(secret in shown for shown in self._open)
        )


SECRETS = Secrets()
"""The secrets of this process: code that opens a URL adds it, code that prints removes them."""


def _redact_found(found: re.Match[str]) -> str:
    """A URL in a text, redacted; the rest of the sentence follows it."""
    url = found[0].rstrip("'\"`)]}>.,:;")
    return redact_url(url) + found[0][len(url) :]


def _secret_spans(url: str) -> list[tuple[int, int]]:
    """The positions of ``url``'s secrets: start and end, in order, not overlapping."""
    found = list(_parameter_spans(url))
    user_info = _user_info(url)
    if user_info is not None:
        start, end = user_info
        colon = url.find(":", start, end)
        found.append((colon + 1 if colon >= 0 else start, end))
    return _merged([span for span in found if span[0] < span[1]])


def _user_info(url: str) -> tuple[int, int] | None:
    """The position of user and password, up to the last ``@``; None if there are none."""
    match = _SCHEME.search(url)
    start = match.end() if match else 0
    at = url.rfind("@", start)
    if at < 0 or _IPV6_PLACE.match(url, start):
        return None
    scheme = match[1].lower() if match else ""
    if scheme in _SCHEMES_WITHOUT_USERS and _PLACE_WITH_PORT.match(url, start):
        return None
    if url.find(":", start, at) >= 0:
        return start, at
    # No password: a user or a token, and only where the grammar allows it.
    place_end = _AFTER_PLACE.search(url, start)
    at = url.rfind("@", start, place_end.start() if place_end else len(url))
    return (start, at) if match and at >= 0 else None


def _parameter_spans(url: str) -> Iterator[tuple[int, int]]:
    end = len(url)
    for parameter in reversed(list(_PARAMETER.finditer(url))):
        # Twice, for a URL inside a URL.
        if _SENSITIVE.search(unquote(unquote(parameter[1])).lower()):
            yield parameter.end(), end
        # A second ? or a # does not end a value: it is more likely part of it.
        if parameter[0][0] in "&;":
            end = parameter.start()


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _secret_forms(secret: str) -> set[str]:
    """The forms of a secret in a text: as typed, decoded, and percent-encoded."""
    decoded = {secret, unquote(secret), unquote_plus(secret)}
    encoded = {form for one in decoded for form in (quote(one), quote(one, ""), quote_plus(one))}
    return {form for one in decoded | encoded for form in _written_forms(one)}


def _written_forms(text: str) -> set[str]:
    """The forms of a text in the output of programs: quoted, or treated as a path."""
    forms = {text, repr(text)[1:-1], str(PurePosixPath(text))}
    forms |= {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    # A message is joined into one line.
    return (forms | {" ".join(form.split()) for form in forms}) - {"", "."}


def _as_value(secret: str) -> re.Pattern[str]:
    """Matches a secret in the place of a value: in quotes, as ``name=secret``, ``:secret@``."""
    whole = re.escape(secret)
    return re.compile(
        rf"(?<=['\"`]){whole}(?=['\"`])|(?<==){whole}(?=[&\s'\"`]|$)|(?<=:){whole}(?=@)"
    )
