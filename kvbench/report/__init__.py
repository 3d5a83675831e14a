"""Reports: results files as text for people and other programs.

``format`` figures as text · ``summary`` judgements and recommended sizes · ``advice`` a batch size
for given needs · ``entries`` entries of a ``table`` · ``overview`` the first tables, ``tables`` the
details · ``document`` all of them in order · ``terminal``, ``markdown`` and ``jsonreport`` the
renderers · ``html`` pages with charts · ``output`` writing to a file · ``conformance_*`` verdicts.

Results come in, text goes out: nothing here measures. ``summary``, ``tables`` and ``document``
decide the content; a renderer decides only the layout.
"""
