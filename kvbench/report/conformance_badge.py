"""A badge for a README: an SVG with the overall verdict and the number of clauses.

The width of text is not known here, so it is estimated from the widths of the letters; with
``textLength`` the renderer uses the estimate, whatever font it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from kvbench.report.conformance_matrix import tally
from kvbench.verdicts import CONFORMING, Conformance, Summary

LABEL = "conformance"

_COLOURS: Mapping[Summary, str] = {
    Summary.CONFORMS: "#1a7f37",
    Summary.DEVIATES: "#1a7f37",
    Summary.PARTIAL: "#666",
    Summary.UNVERIFIED: "#666",
    Summary.VIOLATES: "#c62828",
}
"""By summary. White text on each has a contrast of at least 4.5 (WCAG 2.1, AA)."""

_NARROW, _WIDE = frozenset("fijlrt()|.,:;'!/ "), frozenset("mwMW%@—")
_WIDTHS_PX = {"narrow": 4.0, "usual": 6.8, "wide": 10.5}
"""Of letters in Verdana and DejaVu Sans at 11 px."""

_PADDING_PX = 6

_SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" \
aria-label="{title}">
<title>{title}</title>
<rect width="{width}" height="20" rx="3" fill="#444"/>
<path d="M{left} 0h{edge}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H{left}z" fill="{colour}"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11">
<text x="{pad}" y="14" textLength="{label_px}">{label}</text>
<text x="{message_x}" y="14" textLength="{message_px}">{message}</text>
</g>
</svg>
"""


def render_badge(conformance: Conformance) -> str:
    """The run as an SVG image, 20 pixels high."""
    summary, message = _message(conformance)
    label_px, message_px = _width_px(LABEL), _width_px(message)
    left, right = label_px + 2 * _PADDING_PX, message_px + 2 * _PADDING_PX
    return _SVG.format(
        title=escape(f"{LABEL}: {message}"),
        label=LABEL,
        message=escape(message),
        colour=_COLOURS[summary],
        width=left + right,
        left=left,
        edge=right - 3,
        pad=_PADDING_PX,
        label_px=label_px,
        message_x=left + _PADDING_PX,
        message_px=message_px,
    )


def _message(conformance: Conformance) -> tuple[Summary, str]:
    """The overall summary, and the badge's text."""
    targets = conformance.targets
    if not targets:
        return Summary.UNVERIFIED, Summary.UNVERIFIED
    summaries = [target.summary for target in targets]
    worst = min(summaries, key=list(Summary).index)
    if len(targets) == 1:
        must = tally(targets[0], "MUST")
        figures = f" ({must.passed}/{must.binding} MUST)" if must.binding else ""
        return worst, targets[0].headline + figures
    conforming = sum([target.conforms for target in targets])
    if worst in CONFORMING:
        return worst, f"{conforming} targets conform"
    return worst, f"{conforming} of {len(targets)} targets conform"


def _width_px(text: str) -> int:
    sizes = ["narrow" if one in _NARROW else "wide" if one in _WIDE else "usual" for one in text]
    return round(sum(_WIDTHS_PX[size] for size in sizes))
