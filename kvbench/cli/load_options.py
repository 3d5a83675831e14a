"""The options of the commands that put load on stores, and the plan that follows from them.

A TOML file given with ``--config`` has the same names (``batch-size = 50``); what is typed wins. So
each option, its default and its help stand once.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from kvbench.bench.arms import Arm
from kvbench.cli.ci import ci_options
from kvbench.cli.parameters import (
    Duration,
    Share,
    Shares,
    TargetType,
    Word,
    Words,
)
from kvbench.cli.report_files import report_options
from kvbench.errors import UsageError
from kvbench.load.plan import ARMS, Arrivals, Driver, LoadLane, LoadSettings, make_lane
from kvbench.load.workload import WORKLOADS, Action, LoadWorkload, Popularity
from kvbench.suggest import did_you_mean

CONFIG_BYTES_MAX = 1 << 20
_NOT_IN_FILES = (
    "config", "output", "report", "html", "junit", "markdown", "conditions", "as_json", "help",
)  # fmt: skip

_Command = TypeVar("_Command", bound=Callable[..., Any])

_DEFAULTS = LoadSettings()
_WORKLOAD = LoadWorkload()


def _read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """Make the values of a TOML file the defaults of the command's options."""
    if path is not None:
        ctx.default_map = {**(ctx.default_map or {}), **config_values(path, ctx.command)}
    return path


def config_values(path: Path, command: click.Command) -> dict[str, Any]:
    """The values of a TOML file, by the names of a command's parameters.

    Raises:
        UsageError: the file cannot be read, is not TOML, or has an unknown name; the message names
            the nearest one.
    """
    try:
        content = path.read_bytes()
        if len(content) > CONFIG_BYTES_MAX:
            raise UsageError(f"{path} is over 1 MiB: it is not a file of options")
        values = tomllib.loads(content.decode())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    known = {name: param.name for name, param in file_options(command)}
    found: dict[str, Any] = {}
    for name, value in values.items():
        plain = name.replace("_", "-")
        if plain not in known:
            hint = did_you_mean(plain, known, f"there are: {', '.join(known)}")
            raise UsageError(f"{path}: no option {name!r}; {hint}")
        found[str(known[plain])] = _typed(name, value, path)
    return found


def _typed(name: str, value: object, path: Path) -> object:
    """A value of a file as the option's type takes it: text, or a flag."""
    if name in ("targets", "mix") or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return ",".join(map(str, value))
    raise UsageError(f"{path}: {name} is neither a text, a number, true or false, nor a list")


def file_options(command: click.Command) -> Iterator[tuple[str, click.Parameter]]:
    """The parameters that a TOML file may have, by their names there."""
    for param in command.params:
        if param.name not in _NOT_IN_FILES:
            name = param.opts[0].lstrip("-") if isinstance(param, click.Option) else param.name
            yield str(name), param


def load_options(command: _Command) -> _Command:
    """All options that ``load`` and ``capacity`` share."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS: list[Callable[[Any], Any]] = [
    click.argument("targets", nargs=-1, type=TargetType(), metavar="TARGET..."),
    click.option(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_read_config,
        metavar="FILE",
        help="Options from a TOML file; `kvbench init` writes one. What is typed wins.",
    ),
    click.option(
        "--clients",
        type=int,
        default=_DEFAULTS.clients,
        show_default=True,
        metavar="N",
        help="Connections to each target.",
    ),
    click.option(
        "--batch-size", type=int, default=1, show_default=True, metavar="N", help="Keys in a batch."
    ),
    click.option(
        "--pipeline",
        type=int,
        default=1,
        show_default=True,
        metavar="N",
        help="Requests that a client sends at once.",
    ),
    click.option(
        "--arm",
        "arms",
        type=Words(ARMS),
        metavar="ARM,...",
        help="Any of individual, pipelined, batch. [batch with a batch size, else individual]",
    ),
    click.option(
        "--driver",
        type=Word(Driver),
        default=_DEFAULTS.driver,
        show_default=True,
        metavar="DRIVER",
        help="client: the store's Python client; wire: prebuilt requests on bare sockets.",
    ),
    click.option(
        "--workload",
        type=Word(WORKLOADS),
        metavar="NAME",
        help=f"A predefined workload: {', '.join(WORKLOADS)}.",
    ),
    click.option(
        "--mix",
        type=Shares(Action),
        metavar="OP=SHARE,...",
        help="Of get, set, delete, exists, insert, rmw (read, modify, write). [get=100]",
    ),
    click.option(
        "--keys",
        "popularity",
        type=Word(Popularity),
        metavar="NAME",
        help="Which keys: uniform, zipfian, latest or hotspot. [uniform]",
    ),
    click.option(
        "--records", type=int, metavar="N", help=f"Keys stored before. [{_WORKLOAD.records}]"
    ),
    click.option(
        "--zipfian-constant",
        type=float,
        metavar="X",
        help=f"Exponent of zipfian and latest. [{_WORKLOAD.zipfian_constant}]",
    ),
    click.option("--hot-keys", type=Share(), metavar="SHARE", help="Hot keys of hotspot. [20%]"),
    click.option(
        "--hot-calls", type=Share(), metavar="SHARE", help="Calls that go to hot keys. [80%]"
    ),
    click.option(
        "--key-length",
        metavar="SIZES",
        help=f"Bytes of a key: 32, 20-48 or lognormal:32:0.5. [{_WORKLOAD.key_length}]",
    ),
    click.option(
        "--value-size",
        metavar="SIZES",
        help=f"Bytes of a value, in the same forms. [{_WORKLOAD.value_size}]",
    ),
    click.option(
        "--hit-ratio", type=Share(), metavar="SHARE", help="Keys of reads that are stored. [100%]"
    ),
    click.option(
        "--duplicates", type=Share(), metavar="SHARE", help="Repeated keys in a batch. [0%]"
    ),
    click.option("--ttl", type=Duration(), metavar="TIME", help="TTL of stored keys, e.g. 60s."),
    click.option(
        "--workers",
        type=int,
        metavar="N",
        help="Processes that share the clients. [1; with --dask all workers of the cluster]",
    ),
    click.option(
        "--dask",
        default=_DEFAULTS.dask,
        metavar="ADDRESS",
        help="Generate the load on a Dask cluster: its scheduler, e.g. tcp://10.0.0.5:8786.",
    ),
    click.option(
        "--arrivals",
        type=Word(Arrivals),
        default=_DEFAULTS.arrivals,
        show_default=True,
        metavar="NAME",
        help="Of an open loop: poisson or constant.",
    ),
    click.option(
        "--rounds",
        type=int,
        default=_DEFAULTS.rounds,
        show_default=True,
        metavar="N",
        help="Independent repetitions, each in a new process.",
    ),
    click.option(
        "--warm-up",
        type=Duration(),
        default=round(_DEFAULTS.warm_up_s * 1e9),
        metavar="TIME",
        help="Before each measurement, not counted. [500ms]",
    ),
    click.option(
        "--seed", type=int, default=0, show_default=True, help="Seed of keys, values and arrivals."
    ),
    click.option("--no-keep-awake", is_flag=True, help="Let idle cores sleep: slower round trips."),
    click.option("--no-pin", is_flag=True, help="Do not pin load generator and servers to cores."),
    click.option(
        "--output",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Write results as JSON Lines during the run; FILE is replaced when the run starts.",
    ),
    report_options,
    ci_options,
    click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables."),
]

_WORKLOAD_OPTIONS = (
    "records", "zipfian_constant", "hot_keys", "hot_calls", "key_length", "value_size",
    "hit_ratio", "duplicates",
)  # fmt: skip
"""Options that are attributes of a workload, by the same name."""


def workload_of(given: dict[str, Any]) -> LoadWorkload:
    """The workload of a command line: a predefined one, changed by what is given."""
    name = given["workload"]
    workload = WORKLOADS[name] if name else _WORKLOAD
    changes = {one: given[one] for one in _WORKLOAD_OPTIONS if given[one] is not None}
    if given["popularity"] is not None:
        changes["popularity"] = Popularity(given["popularity"])
    if given["mix"] is not None:
        changes["mix"] = {Action(action): share for action, share in given["mix"].items()}
    if given["ttl"]:
        changes["ttl_s"] = given["ttl"] / 1e9
    if changes and name:
        changes["name"] = f"{name}, changed"
    return msgspec.structs.replace(workload, **changes)


def lanes_of(given: dict[str, Any]) -> tuple[LoadLane, ...]:
    """The lanes of a command line.

    Raises:
        UsageError: a size is out of range, or an arm needs one.
    """
    arms = given["arms"] or ((Arm.BATCH,) if given["batch_size"] > 1 else (Arm.INDIVIDUAL,))
    return tuple([make_lane(Arm(arm), given["batch_size"], given["pipeline"]) for arm in arms])


def with_windows(
    lanes: tuple[LoadLane, ...], windows_ns: tuple[int, ...] | None
) -> tuple[LoadLane, ...]:
    """Each lane once for each window of batch formation."""
    if not windows_ns:
        return lanes
    if 0 in windows_ns:
        raise UsageError("a batch window of 0 forms no batches; write e.g. 1ms")
    replace = msgspec.structs.replace
    return tuple([replace(lane, window_ns=window) for lane in lanes for window in windows_ns])


def settings_of(given: dict[str, Any], **more: Any) -> LoadSettings:
    """The settings of a command line.

    Args:
        given: values of the options.
        more: other settings.
    """
    return LoadSettings(
        clients=given["clients"],
        warm_up_s=given["warm_up"] / 1e9,
        rounds=given["rounds"],
        arrivals=Arrivals(given["arrivals"]),
        driver=Driver(given["driver"]),
        workers=given["workers"] if given["workers"] is not None else int(not given["dask"]),
        dask=given["dask"],
        seed=given["seed"],
        keep_awake=not given["no_keep_awake"],
        pin=not given["no_pin"],
        **more,
    )


def check_targets(targets: tuple[str, ...], settings: LoadSettings) -> tuple[str, ...]:
    """The URLs of targets, each checked.

    Raises:
        UsageError: there is none, a scheme is unknown or cannot be loaded, or the workers of a
            cluster cannot reach it.
        BackendUnavailableError: a driver is not installed.
        KvConnectionError: where a server of the wire protocol should be, there is none.
    """
    from kvbench.cli.measuring import check_address
    from kvbench.load.cluster_address import check_cluster
    from kvbench.load.visit import check_load_target
    from kvbench.registry import target_url

    if not targets:
        raise UsageError("no target: give one or more, e.g. kvb:// or redis://127.0.0.1:6379")
    urls = tuple(map(target_url, targets))
    for url in urls:
        check_load_target(url, settings.driver)
    if settings.dask:
        check_cluster(settings.dask, urls)
    for text in targets:
        check_address(text)
    return urls


def rate_of(rate: tuple[float, bool] | None) -> dict[str, float]:
    """The settings of a rate."""
    if rate is None:
        return {}
    return {"rate_keys" if rate[1] else "rate": rate[0]}
