"""Types of options that several commands share: words, lists of words, sizes, durations, rates.

Each type has its valid values in one place: an error message suggests the nearest one, and shell
completion offers the same.
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
    """A target; ``${NAME}`` is replaced from the environment: ``redis://:${PASSWORD}@host``."""

    name = "target"

    def convert(self, value: str, param: object, ctx: object) -> str:
        """The target; UsageError when it names a variable that is not set."""
        return given_target(value)


class Word(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """One of several words."""

    name = "word"

    def __init__(self, words: Iterable[str]) -> None:
        self.words = tuple(map(str, words))

    def convert(self, value: str, param: object, ctx: object) -> str:
        """The word; BadParameter if it is not one of them."""
        if value in self.words:
            return value
        hint = did_you_mean(value, self.words, f"there are: {', '.join(self.words)}")
        raise click.BadParameter(f"{value!r}; {hint}")

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The words that start with what was typed."""
        return [CompletionItem(word) for word in self.words if word.startswith(incomplete)]


class Words(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """Several words separated by commas: a tuple, each once, in the order typed."""

    name = "words"

    def __init__(self, words: Iterable[str]) -> None:
        self._word = Word(words)

    def convert(self, value: str, param: object, ctx: object) -> tuple[str, ...]:
        """The words; BadParameter names the first unknown one."""
        # A URL in the wrong place is not split: a part of it might be part of its password.
        typed = [value] if "://" in value else [word.strip() for word in value.split(",")]
        return tuple(dict.fromkeys([self._word.convert(word, param, ctx) for word in typed]))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The text typed so far, completed by each word that it does not contain yet."""
        *before, last = incomplete.split(",")
        begun = "".join([f"{word}," for word in before])
        rest = [word for word in self._word.words if word not in before]
        return [CompletionItem(f"{begun}{word}") for word in rest if word.startswith(last)]


class ByteSize(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """A number of bytes: ``1000000``, ``4kB`` (4,000), ``64MiB`` (67,108,864)."""

    name = "size"

    def convert(self, value: str | int, param: object, ctx: object) -> int:
        """The number of bytes; BadParameter if the text is not a size."""
        return _quantity(parse_size, value)


class Duration(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """A time with its unit, ``0.5ms`` or ``90s``, as nanoseconds."""

    name = "duration"

    def convert(self, value: str | int, param: object, ctx: object) -> int:
        """Nanoseconds; BadParameter if the text is not a duration."""
        return _quantity(parse_duration_ns, value)


class Durations(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """Times separated by commas, ``0.5ms,1ms``, as nanoseconds: each once, ascending."""

    name = "durations"

    def convert(self, value: object, param: object, ctx: object) -> tuple[int, ...]:
        """Nanoseconds; BadParameter names the first text that is not a duration."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        return tuple(sorted({_quantity(parse_duration_ns, part) for part in parts}))


class Bandwidth(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """Bytes per second: ``500kB/s``, ``1.5MiB/s``, ``100Mbit/s``."""

    name = "bandwidth"

    def convert(self, value: str | int, param: object, ctx: object) -> int:
        """Bytes per second; BadParameter if the text is not a rate, or below 1."""
        return _quantity(parse_rate, value)


def _quantity(parse: Callable[[str], int], value: str | int) -> int:
    """Applies a function of kvbench.units; a default that is a number stays unchanged."""
    if isinstance(value, int):
        return value
    try:
        return parse(value)
    except UsageError as error:
        raise click.BadParameter(str(error)) from None


class CallRate(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """Requests or keys per second: ``2000/s``, ``1.5k/s``, ``100k keys/s``."""

    name = "rate"

    def convert(self, value: object, param: object, ctx: object) -> tuple[float, bool]:
        """The rate, and whether it counts keys; BadParameter if it is not a rate above 0."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(
            r"(\d{1,12}(?:\.\d{1,9})?)\s*([kM]?)\s*(keys)?(?:/s)?", str(value).strip(), re.ASCII
        )
        if match is None or not float(match[1]):
            raise click.BadParameter(f"{value!r} is not a rate; write 2000/s, 1.5k/s or 10k keys/s")
        return float(match[1]) * {"": 1, "k": 1e3, "M": 1e6}[match[2]], bool(match[3])


class Shares(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """Words with shares: ``get=90,set=10``."""

    name = "shares"

    def __init__(self, words: Iterable[str]) -> None:
        self._word = Word(words)

    def convert(self, value: object, param: object, ctx: object) -> dict[str, float]:
        """The share of each word; BadParameter names the part that is not one."""
        if isinstance(value, dict):
            value = ",".join([f"{word}={share}" for word, share in value.items()])
        shares: dict[str, float] = {}
        for part in str(value).split(","):
            word, equals, share = part.strip().partition("=")
            name = self._word.convert(word, None, None)
            if name in shares:
                raise click.BadParameter(f"{name!r} is given twice")
            if not equals or not re.fullmatch(r"\d{1,9}(\.\d{1,9})?%?", share, re.ASCII):
                raise click.BadParameter(f"{part!r} is not a share; write get=90,set=10")
            shares[name] = float(share.rstrip("%"))
        return shares


class Share(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """A fraction: ``5%`` or ``0.05``."""

    name = "share"

    def convert(self, value: str | float, param: object, ctx: object) -> float:
        """The fraction, 1 for all; BadParameter if the text is not one."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)\s*(%?)", value.strip(), re.ASCII)
        if match is None:
            raise click.BadParameter(f"{value!r} is not a share; write 5% or 0.05")
        return float(match[1]) / (100 if match[2] else 1)
