"""Compares results: what became faster or slower, for certain. Pure: results in, values out.

``readings`` the figures of a file that can be compared · ``change`` a figure against its base, with
its interval · ``judgement`` verdicts on all of them, and the gate · ``differences`` what else is
not the same · ``comparison`` two results compared · ``gauges`` and ``thresholds`` limits for the
figures of one file.
"""
