"""The benchmark: what batching buys on a target, with its uncertainty.

It reads as its pipeline. ``plan`` what is to be measured · ``runner`` a run: explore, then round
after round, as ``events`` · ``worker_process`` a worker seen from the run · ``messages`` what is
asked of a worker, and what it sends back · ``worker`` its process · ``round`` its targets: explored
once, or measured · ``blocks`` lanes, calibration and paired blocks · ``arms`` the ways to do the
same work, timed · ``gather`` samples of rounds to records · ``estimate`` and ``cost_curve`` the
statistics, pure · ``recorder`` records kept and written.

Beside it: ``workload`` keys and values · ``equivalence`` proof that all arms do the same ·
``round_trips`` of a batch, measured · ``baselines``, ``placement``, ``contention``, ``keep_awake``
and ``environment`` the machine · ``presets`` plans with a name · ``conformance`` figures that are
withheld · ``time_left`` · ``interrupts`` Ctrl-C.

A target is seen only through its adapter, so our own server is measured like any rival. Nothing
here prints: the runner reports to an observer, and whoever called it shows what it likes.
"""
