"""Reports: what results files look like to people and to other programs.

``format`` figures as text · ``summary`` judgements and recommended sizes · ``advice`` a batch size
for given needs · ``entries`` one place of a ``table`` · ``overview`` the tables that come first,
``tables`` the details · ``document`` all of them in their order · ``terminal``, ``markdown`` and
``jsonreport`` the renderers · ``output`` writing one to a file · ``conformance_*`` verdicts.

Results come in, text goes out: nothing here measures. What is to be said is decided once, in
``summary``, ``tables`` and ``document``; a renderer only decides how it looks.
"""
