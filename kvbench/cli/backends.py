"""``kvbench backends``: which kinds of store can be targets here, and what they can do."""

from __future__ import annotations

import json
from dataclasses import dataclass

import click

from kvbench.backend import BATCH_OPERATIONS


@dataclass(frozen=True, slots=True)
class _Listing:
    scheme: str
    summary: str
    url_example: str
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
                url_example=cls.url_example if cls else "",
                installed=not registration.problem,
                problem=registration.problem,
                hint=registration.hint,
                capabilities=sorted(cls.capabilities) if cls else [],
                batch_kinds={op: cls.batch_kind(op) for op in BATCH_OPERATIONS} if cls else {},
            )
        )
    return listings


@click.command(
    epilog="\b\nExamples:\n  kvbench backends\n  kvbench backends --json | jq '.[].scheme'"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(as_json: bool) -> None:
    """List the kinds of store that can be targets.

    Shows whether each is installed (or how to install it), what it can do, and how it carries out
    each batch operation: native, pipelined, transaction or emulated.
    """
    listings = _listings()
    if as_json:
        fields = [{name: getattr(one, name) for name in one.__slots__} for one in listings]
        click.echo(json.dumps(fields, indent=2))
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=False)
    for one in listings:
        state = "[green]installed[/]" if one.installed else f"[yellow]{escape(one.problem)}[/]"
        console.print(f"[bold]{one.scheme}://[/]  {escape(one.summary)}  {state}")
        if one.hint:
            console.print(f"    to use it: {escape(one.hint)}")
        if one.url_example:
            console.print(f"    example:   {escape(one.url_example)}")
        if one.capabilities:
            console.print(f"    can:       {', '.join(one.capabilities)}")
        if one.batch_kinds:
            kinds = ", ".join([f"{op} {kind}" for op, kind in one.batch_kinds.items()])
            console.print(f"    batches:   {kinds}")
