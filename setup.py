"""Build step: compile the wire codec with mypyc when this machine can, stay pure Python when not.

The codec is ordinary typed Python. A C compiler makes it several times faster and changes nothing
else, so a machine without one (or without Python's headers) gets the same package, uncompiled:
the build never fails for that reason. ``KVBENCH_PURE=1`` leaves the compiler out on purpose.
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

COMPILED_MODULES = [
    "kvbench/protocol/layout.py",
    "kvbench/protocol/encode.py",
    "kvbench/protocol/decode.py",
    "kvbench/protocol/check.py",
    "kvbench/protocol/compare.py",
    "kvbench/protocol/values.py",
    "kvbench/protocol/frames.py",
    "kvbench/protocol/client.py",
    "kvbench/protocol/parsers.py",
    "kvbench/protocol/requests.py",
    "kvbench/protocol/responses.py",
]


class OptionalBuildExt(build_ext):
    """Builds every extension, or none: half of a compiled codec would not import."""

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:  # Whatever the toolchain raises, the pure codec still works.
            print(f"kvbench: codec stays pure Python ({error})", file=sys.stderr)
            for output in self.get_outputs():
                Path(output).unlink(missing_ok=True)
            self.extensions = []


def codec_extensions() -> list[Extension]:
    """The codec as C extensions, or nothing where it should or can only be pure Python."""
    if os.environ.get("KVBENCH_PURE", "") not in ("", "0"):
        return []
    try:
        from mypyc.build import mypycify

        extensions: list[Extension] = mypycify(
            [*COMPILED_MODULES, "--config-file="],
            opt_level="3",
            group_name="kvbench.protocol.codec",
        )
        return extensions
    except (Exception, SystemExit) as error:  # mypyc leaves through sys.exit on a type error.
        print(f"kvbench: codec stays pure Python (mypyc: {error})", file=sys.stderr)
        return []


setup(
    packages=[*find_packages(include=["kvbench*"]), *find_packages("backends"), "kvbench_specs"],
    # specs/ travels as a package of data; kvbench.specs finds it there or in the checkout.
    package_dir={"kvbench_backends": "backends/kvbench_backends", "kvbench_specs": "specs"},
    package_data={
        "kvbench": ["py.typed", "report/templates/*"],
        "kvbench_specs": ["*", "vectors/*", "profiles/*"],
    },
    ext_modules=codec_extensions(),
    cmdclass={"build_ext": OptionalBuildExt},
)
