"""Reports: what results files look like to people and to other programs.

``format`` figures as text · ``summary`` judgements and means · ``entries`` and ``tables`` cells
pivoted into tables · ``document`` the tables in their order · ``terminal``, ``markdown`` and
``jsonreport`` the renderers · ``output`` writing one to a file.

Results come in, text goes out: nothing here measures. What is to be said is decided once, in
``summary``, ``tables`` and ``document``; a renderer only decides how it looks.
"""
