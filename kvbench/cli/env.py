"""``kvbench env``: the machine and versions recorded with every result."""

from __future__ import annotations

import json

import click

from kvbench.cli.output import show, show_document


@click.command(epilog="\b\nExamples:\n  kvbench env\n  kvbench env --json | jq -r .cpu")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(as_json: bool) -> None:
    """Show the machine and versions that results record.

    Values that could not be read on this machine are left out.
    """
    from kvbench.bench.environment import describe_environment

    environment = describe_environment()
    if as_json:
        show_document(json.dumps(environment, indent=2) + "\n")
        return
    width = max(map(len, environment))
    for name, value in environment.items():
        show(f"{name:<{width}}  {value}")
