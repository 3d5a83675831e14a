"""Finds the known words that a wrong word was probably meant to be, for "did you mean".

A wrong suggestion is worse than none: ``--port`` is not ``--report``. So a word is near only for
one of these reasons: the same letters in another spelling, one a prefix of the other, all parts of
one among the parts of the other (``--size`` and ``--value-size``), or few changed letters for the
length of the word. The first reason that finds something is used.
"""

from __future__ import annotations

from collections.abc import Iterable

_PREFIX_LETTERS = 2
"""A shorter prefix is too ambiguous."""

_LETTERS_FOR_A_SLIP = 3
"""Number of letters of the shorter word per wrong letter; one wrong letter is always allowed."""

_NAMED_MAX = 3
"""More candidates than this are a list, not a suggestion."""


def nearest(word: str, known: Iterable[str]) -> tuple[str, ...]:
    """The words of ``known`` that ``word`` probably means: none to three, in their order."""
    words = list(known)
    for is_near in (_is_same, _is_beginning, _has_its_parts):
        if found := [one for one in words if is_near(word, one)]:
            return tuple(found) if len(found) <= _NAMED_MAX else ()
    distances = [(one, _slips(_plain(word), _plain(one))) for one in words]
    near = [(slips, one) for one, slips in distances if slips <= _slips_max(word, one)]
    least = min([slips for slips, _ in near], default=0)
    found = [one for slips, one in near if slips == least]
    return tuple(found) if len(found) <= _NAMED_MAX else ()


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """``did you mean 'x'?``, or ``otherwise`` if no known word is near."""
    found = nearest(word, known)
    return f"did you mean {' or '.join(map(repr, found))}?" if found else otherwise


def _plain(word: str) -> str:
    """Its letters only: the spelling of an option does not matter."""
    return word.lower().replace("-", "").replace("_", "")


def _parts(word: str) -> set[str]:
    return {part for part in word.lower().replace("_", "-").split("-") if part}


def _is_same(word: str, other: str) -> bool:
    return _plain(word) == _plain(other)


def _is_beginning(word: str, other: str) -> bool:
    one, two = sorted((_plain(word), _plain(other)), key=len)
    return len(one) >= _PREFIX_LETTERS and two.startswith(one)


def _has_its_parts(word: str, other: str) -> bool:
    parts, others = _parts(word), _parts(other)
    return bool(parts and others) and (parts <= others or others <= parts)


def _slips_max(word: str, other: str) -> int:
    letters = min(len(_plain(word)), len(_plain(other)))
    return max(1, letters // _LETTERS_FOR_A_SLIP) if letters > 1 else 0


def _slips(word: str, other: str) -> int:
    """Number of letters to add, remove, change or swap with their neighbour to get the other word.

    The optimal string alignment distance (Damerau 1964, Wagner and Fischer 1974).
    """
    rows = [list(range(len(other) + 1))]
    for letter in word:
        rows.append([len(rows)])
        for column, wanted in enumerate(other, 1):
            above, row = rows[-2], rows[-1]
            least = min(above[column] + 1, row[-1] + 1, above[column - 1] + (letter != wanted))
            swapped = word[len(rows) - 3 : len(rows) - 1], other[column - 2 : column]
            if column > 1 and len(rows) > 2 and swapped[0] == swapped[1][::-1]:
                least = min(least, rows[-3][column - 2] + 1)
            row.append(least)
    return rows[-1][-1]
