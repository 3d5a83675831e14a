"""``kvbench backends``: lists the kinds of store that can be targets, and what they can do."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

import click

from kvbench.backend import BATCH_OPERATIONS
from kvbench.cli.output import make_console, show_document

_WIDTH_MAX = 100
"""Longer lines are hard to read, on any terminal."""

_NAME_WIDTH = len("to use it")


@dataclass(frozen=True, slots=True)
class _Listing:
    scheme: str
    summary: str
    url_example: str
    url_options: dict[str, str]
    installed: bool
    problem: str
    hint: str
    capabilities: list[str]
    batch_kinds: dict[str, str]


def _listings() -> list[_Listing]:
    from kvbench import registry

    listings = []
    for registration in map(registry.look_up, registry.schemes()):
        cls = registration.backend
        listings.append(
            _Listing(
                scheme=registration.scheme,
                summary=cls.summary if cls else "",
                url_example=_example(registration.scheme, cls.url_example) if cls else "",
                url_options=dict(cls.url_options) if cls else {},
                installed=not registration.problem,
                problem=registration.problem,
                hint=registration.hint,
                capabilities=sorted(cls.capabilities) if cls else [],
                batch_kinds={op: cls.batch_kind(op) for op in BATCH_OPERATIONS} if cls else {},
            )
        )
    return listings


def _example(scheme: str, url: str) -> str:
    """An adapter's example as a URL of this scheme: one adapter can serve several."""
    return f"{scheme}://{url.partition('://')[2]}" if url else ""


@click.command(
    epilog="\b\nExamples:\n  kvbench backends\n  kvbench backends --json | jq '.[].scheme'"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(as_json: bool) -> None:
    """List the kinds of store that can be targets.

    Shows what each can do, how it carries out each batch operation (native, pipelined, transaction
    or emulated), and what to install where it cannot be used yet.
    """
    listings = _listings()
    if as_json:
        fields = [{name: getattr(one, name) for name in one.__slots__} for one in listings]
        show_document(json.dumps(fields, indent=2) + "\n")
        return
    from rich.text import Text

    console = make_console()
    width = min(console.width, _WIDTH_MAX)
    for one in listings:
        for line in _lines(one, width):
            # Wrapped already; a word longer than the terminal is not split.
            is_title = not line.startswith(" ")
            console.print(Text(line, style="bold" if is_title else ""), soft_wrap=True)


def _lines(one: _Listing, width: int) -> Iterator[str]:
    """The description of a scheme, with hanging indents, in lines of ``width`` columns."""
    kinds: dict[str, list[str]] = {}
    for operation, kind in one.batch_kinds.items():
        kinds.setdefault(kind, []).append(operation)
    yield from _wrapped(f"{one.scheme}://  ", one.summary or "not known", width)
    facts = {
        "problem": one.problem,
        "to use it": one.hint,
        "example": one.url_example,
        "options": "; ".join([f"?{name}: {text}" for name, text in one.url_options.items()]),
        "can": ", ".join(one.capabilities),
        "batches": "; ".join([f"{kind}: {', '.join(names)}" for kind, names in kinds.items()]),
    }
    for name, fact in facts.items():
        if fact:
            yield from _wrapped(f"    {name:<{_NAME_WIDTH}}  ", fact, width)


def _wrapped(head: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=head,
        subsequent_indent=" " * len(head if head.startswith(" ") else "    "),
        break_long_words=False,
        break_on_hyphens=False,
    )
