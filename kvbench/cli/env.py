"""``kvbench env``: the machine and versions that every result records."""

from __future__ import annotations

import json

import click


@click.command(epilog="\b\nExamples:\n  kvbench env\n  kvbench env --json | jq -r .cpu")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(as_json: bool) -> None:
    """Show the machine and versions that results record.

    What is missing could not be read on this machine.
    """
    from kvbench.bench.environment import describe_environment

    environment = describe_environment()
    if as_json:
        click.echo(json.dumps(environment, indent=2))
        return
    width = max(map(len, environment))
    for name, value in environment.items():
        click.echo(f"{name:<{width}}  {value}")
