"""Types of options that several commands share: words, lists of words, sizes.

Each knows its right answers in one place: a wrong one is answered with the nearest right one, and
a shell that completes an option is offered the same words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem

from kvbench.registry import given_target
from kvbench.suggest import did_you_mean

_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3}
_BINARY_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class Target(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """A target, its secrets filled in from the environment: ``redis://:${REDIS_PASSWORD}@host``."""

    name = "target"

    def convert(self, value: str, param: object, ctx: object) -> str:
        """The target; UsageError when it names a variable that is not set."""
        return given_target(value)


class Word(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """One of a few words."""

    name = "word"

    def __init__(self, words: Iterable[str]) -> None:
        self.words = tuple(map(str, words))

    def convert(self, value: str, param: object, ctx: object) -> str:
        """The word, when it is one of them; BadParameter otherwise."""
        if value in self.words:
            return value
        hint = did_you_mean(value, self.words, f"there are: {', '.join(self.words)}")
        raise click.BadParameter(f"{value!r}; {hint}")

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The words that begin as typed."""
        return [CompletionItem(word) for word in self.words if word.startswith(incomplete)]


class Words(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """Some of a few words with commas between: a tuple, each once, as they were typed."""

    name = "words"

    def __init__(self, words: Iterable[str]) -> None:
        self._word = Word(words)

    def convert(self, value: str, param: object, ctx: object) -> tuple[str, ...]:
        """The words; BadParameter names the first that is none of them."""
        typed = [word.strip() for word in value.split(",")]
        return tuple(dict.fromkeys([self._word.convert(word, param, ctx) for word in typed]))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """What is typed, with each word for its last one that it does not hold yet."""
        *before, last = incomplete.split(",")
        begun = "".join([f"{word}," for word in before])
        rest = [word for word in self._word.words if word not in before]
        return [CompletionItem(f"{begun}{word}") for word in rest if word.startswith(last)]


class ByteSize(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """A number of bytes: ``1000000``, ``4kB`` (4,000), ``64MiB`` (67,108,864)."""

    name = "size"

    def convert(self, value: str | int, param: object, ctx: object) -> int:
        """The number of bytes; BadParameter for what is no size."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d{1,12})\s*([kmg]?)(i?)b?", value.strip().lower(), re.ASCII)
        if match is None or (match[3] and not match[2]):
            raise click.BadParameter(f"{value!r} is no size; write 1000000, 4kB or 64MiB")
        units = _BINARY_UNITS if match[3] else _UNITS
        return int(match[1]) * units[match[2]]
