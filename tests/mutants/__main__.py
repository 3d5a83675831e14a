"""Hunts every mutant and writes reports/conformance/kill-matrix.json and kill-matrix.md.

``python -m tests.mutants [PROCESSES]``, from the root of the repository. Exits with 1 when a mutant
lives. Most of the time a mutant waits for keys to expire, so a few more processes than cores pay.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from .matrix import FOLDER, JSON, MARKDOWN, document, markdown, names, row, survivors


def main() -> int:
    """Write the matrix; the exit code."""
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else 3 * (os.cpu_count() or 1)
    began = time.monotonic()
    # A mutant is refused what servers warn about, all day long.
    logging.disable(logging.CRITICAL)
    rows = []
    with ProcessPoolExecutor(processes) as pool:
        for entry in pool.map(row, names()):
            rows.append(entry)
            print(f"{len(rows):4} {entry['mutant']}", flush=True)
    matrix = document(rows)
    FOLDER.mkdir(parents=True, exist_ok=True)
    JSON.write_text(json.dumps(matrix, indent=1, ensure_ascii=False) + "\n")
    MARKDOWN.write_text(markdown(matrix))
    alive = survivors(rows)
    print(f"{len(rows)} mutants in {time.monotonic() - began:.0f} s, alive: {len(alive)}")
    print("\n".join(alive))
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
