"""``kvbench completion``: prints the shell script that completes commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(
    epilog="""\b
Examples:
  kvbench completion bash > ~/.local/share/bash-completion/completions/kvbench
  kvbench completion zsh > ~/.zfunc/_kvbench
  kvbench completion fish > ~/.config/fish/completions/kvbench.fish
"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the shell completion script for SHELL."""
    from kvbench.cli import group

    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(group, {}, "kvbench", "_KVBENCH_COMPLETE").source())
