"""The history of results: entries kept in one place, and what changed from one to the next.

``entry`` what is kept of a results file · ``archive`` where: an SQLite file or a folder ·
``trend`` the entries of one figure that can be compared, in order · ``change_points`` where a
series changed its level.
"""
