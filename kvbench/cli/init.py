"""``kvbench init``: writes a commented file of options for ``kvbench load --config``."""

from __future__ import annotations

from pathlib import Path

import click

from kvbench.cli.output import notify, show_document
from kvbench.errors import UsageError

HEADER = """\
# Options of `kvbench load --config FILE`. What is typed on the command line wins.
# Each line shows an option's default; remove the # to change it.

# A target is a URL; `kvbench backends` lists the kinds.
targets = ["kvb://"]
"""


EXAMPLES = {
    "arm": '["individual", "batch"]',
    "workload": '"ycsb-b"',
    "mix": "{ get = 90, set = 10 }",
    "keys": '"uniform"',
    "records": "10000",
    "zipfian-constant": "0.99",
    "hot-keys": '"20%"',
    "hot-calls": '"80%"',
    "key-length": '"32"',
    "value-size": '"100"',
    "hit-ratio": '"100%"',
    "duplicates": '"0%"',
    "ttl": '"60s"',
    "workers": "2",
    "dask": '"tcp://10.0.0.5:8786"',
    "warm-up": '"500ms"',
    "duration": '"10s"',
    "rate": '"2000/s"',
    "batch-window": '["1ms"]',
}
"""Values of options without a default, or whose default is written in another form."""


@click.command(
    epilog="""\b
Examples:
  kvbench init
  kvbench init - | less
  kvbench init bench.toml && kvbench load --config bench.toml
"""
)
@click.argument("file", type=click.Path(path_type=Path), default="bench.toml")
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
def command(file: Path, force: bool) -> None:
    """Write a commented file of options for `kvbench load --config`, by default bench.toml.

    `-` is standard output.
    """
    text = config_text()
    if str(file) == "-":
        show_document(text)
        return
    try:
        with file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise UsageError(f"{file} exists; --force replaces it") from None
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from None
    notify(f"wrote {file}; next: kvbench load --config {file}")


def config_text() -> str:
    """The file: every option of ``kvbench load``, with its help and its default."""
    from kvbench.cli.load import command as load
    from kvbench.cli.load_options import file_options

    lines = [HEADER]
    for name, param in file_options(load):
        if isinstance(param, click.Option):
            lines += [f"# {param.help}", f"# {name} = {EXAMPLES.get(name) or _shown(param)}", ""]
    return "\n".join(lines)


def _shown(option: click.Option) -> str:
    if option.is_flag:
        return "false"
    default = option.default
    return f'"{default}"' if isinstance(default, str) else str(default)
