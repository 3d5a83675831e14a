"""The benchmark: the gain of batching on a target, with its uncertainty.

The pipeline: ``plan`` the request · ``runner`` a run: explore, then round after round, as
``events`` · ``worker_process`` a worker as seen by the run · ``messages`` tasks and messages of
workers · ``worker`` its process · ``round`` explores or measures its targets · ``blocks`` lanes,
calibration and paired blocks · ``arms`` the timed ways to do the same work · ``gather`` samples of
rounds to records · ``estimate`` and ``cost_curve`` the statistics, pure · ``recorder`` stores and
writes records.

In addition: ``workload`` keys and values · ``equivalence`` checks that all arms do the same ·
``round_trips`` of a batch, measured · ``baselines``, ``placement``, ``contention``, ``keep_awake``
and ``environment`` the machine · ``presets`` named plans · ``conformance`` withholds figures ·
``time_left`` · ``interrupts`` Ctrl-C.

A target is used only through its adapter, so kvbench's server is measured like any other. Nothing
here prints: the runner reports to an observer, and the caller decides what to show.
"""
