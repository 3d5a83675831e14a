"""The benchmark: what batching buys on a target, with its uncertainty.

``plan`` what is to be measured · ``workload`` keys and values · ``arms`` the ways to do the same
work, timed · ``equivalence`` proof that they do · ``blocks`` calibration and paired blocks ·
``stats`` estimates from blocks · ``target_run`` one target · ``runner`` a run, as ``events`` ·
``recorder`` records kept and written · ``suites`` plans with a name · ``estimate`` the time left ·
``interrupts`` Ctrl-C · ``keep_awake``, ``floors`` and ``environment`` the machine.

A target is seen only through its adapter, so our own server is measured like any rival. Nothing
here prints: the runner tells an observer, and whoever called it shows what it likes.
"""
