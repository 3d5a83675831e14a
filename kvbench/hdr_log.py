"""Histograms as an HdrHistogram log, for its tools: plotters, HistogramLogProcessor, spreadsheets.

A log is text: comments, a legend, then a line for each histogram: an optional tag, the beginning
and the length of its interval in seconds, its maximum in milliseconds, and the histogram in base64
(encoding V2, compressed by zlib). The buckets of :mod:`kvbench.histogram` are those of HdrHistogram
with two significant digits, so nothing is lost but the exact extremes and sum.

Sources: HistogramLogWriter and AbstractHistogram.encodeIntoCompressedByteBuffer of HdrHistogram
2.1 (public domain), ZigZagEncoding.
"""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Mapping

import numpy as np

from kvbench.clock import NS_PER_MS
from kvbench.histogram import DURATION_NS_MAX, Histogram

_V2 = 0x1C849303 | 0x10
_V2_COMPRESSED = 0x1C849304 | 0x10
_SIGNIFICANT_DIGITS = 2
_LOWEST_NS = 1

_LEGEND = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'
_NOT_IN_A_TAG = re.compile(r"[,\s]")


def hdr_log(
    histograms: Mapping[str, Histogram], *, elapsed_s: float, started_at_s: float = 0.0
) -> str:
    """An HdrHistogram log with a line for each histogram.

    Args:
        histograms: by tag; a comma or white space in a tag becomes ``_``, and an empty tag is none.
        elapsed_s: length of the window that each of them covers.
        started_at_s: beginning of the window, in seconds since 1970; 0 if it is not known.

    Returns:
        The text of the file, with a line's end after each line.
    """
    lines = [
        "#[Histogram log format version 1.3]",
        f"#[StartTime: {started_at_s:.3f} (seconds since epoch)]",
        _LEGEND,
    ]
    for name, histogram in histograms.items():
        tag = f"Tag={_NOT_IN_A_TAG.sub('_', name)}," if name else ""
        max_ms = (histogram.max_ns or 0) / NS_PER_MS
        payload = base64.b64encode(compressed_v2(histogram)).decode("ascii")
        lines.append(f"{tag}0.000,{elapsed_s:.3f},{max_ms:.3f},{payload}")
    return "\n".join(lines) + "\n"


def compressed_v2(histogram: Histogram) -> bytes:
    """A histogram in HdrHistogram's compressed encoding, version 2."""
    counts = _encode_counts(histogram.counts().tolist())
    ratio = 1.0
    head = struct.pack(
        ">iiiiqqd",
        _V2,
        len(counts),
        0,
        _SIGNIFICANT_DIGITS,
        _LOWEST_NS,
        DURATION_NS_MAX,
        ratio,
    )
    body = zlib.compress(head + counts)
    return struct.pack(">ii", _V2_COMPRESSED, len(body)) + body


def _encode_counts(counts: list[int]) -> bytes:
    """Counts in order as variable-length numbers; a run of zeros is its length, negative."""
    used = np.flatnonzero(counts)
    encoded = bytearray()
    zeros = 0
    for count in counts[: int(used[-1]) + 1 if len(used) else 0]:
        if count:
            if zeros:
                encoded += _zigzag(-zeros)
                zeros = 0
            encoded += _zigzag(count)
        else:
            zeros += 1
    return bytes(encoded)


def _zigzag(number: int) -> bytes:
    """ZigZag LEB128-64b9B: seven bits a byte, lowest first; a ninth byte would hold eight."""
    rest = (number << 1) ^ (number >> 63)
    encoded = bytearray()
    while rest > 0x7F and len(encoded) < 8:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)
