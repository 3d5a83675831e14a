"""Types of options that several commands share: words, lists of words, sizes, durations, rates.

Each knows its right answers in one place: a wrong one is answered with the nearest right one, and
a shell that completes an option is offered the same words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from kvbench.errors import UsageError
from kvbench.registry import given_target
from kvbench.suggest import did_you_mean
from kvbench.units import parse_duration_ns, parse_rate, parse_size


class TargetType(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
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
        # A URL at the wrong place stays whole: a part of it might be a part of its password.
        typed = [value] if "://" in value else [word.strip() for word in value.split(",")]
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
        return _quantity(parse_size, value)


class Duration(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """A time with its unit, ``0.5ms`` or ``90s``, as nanoseconds."""

    name = "duration"

    def convert(self, value: str | int, param: object, ctx: object) -> int:
        """Nanoseconds; BadParameter for what is no duration."""
        return _quantity(parse_duration_ns, value)


class Bandwidth(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """Bytes per second: ``500kB/s``, ``1.5MiB/s``, ``100Mbit/s``."""

    name = "bandwidth"

    def convert(self, value: str | int, param: object, ctx: object) -> int:
        """Bytes per second; BadParameter for what is no rate, or below 1."""
        return _quantity(parse_rate, value)


def _quantity(parse: Callable[[str], int], value: str | int) -> int:
    """What a function of kvbench.units reads; a default that is a number already stays one."""
    if isinstance(value, int):
        return value
    try:
        return parse(value)
    except UsageError as error:
        raise click.BadParameter(str(error)) from None


class Share(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """A share of something: ``5%`` or ``0.05``."""

    name = "share"

    def convert(self, value: str | float, param: object, ctx: object) -> float:
        """The share as a number, 1 for all; BadParameter for what is none."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)\s*(%?)", value.strip(), re.ASCII)
        if match is None:
            raise click.BadParameter(f"{value!r} is no share; write 5% or 0.05")
        return float(match[1]) / (100 if match[2] else 1)
