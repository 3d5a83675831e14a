"""A TCP proxy that plays a network: delay, jitter, bandwidth, cuts and resets.

``conditions`` what it does · ``target`` where targets are · ``alarms`` exact times · ``pipe`` one
direction of a connection · ``connection`` both of them · ``server`` listening and an orderly end ·
``running`` a proxy in a process of its own.
"""

from kvbench.proxy.conditions import Conditions
from kvbench.proxy.running import RunningProxy, running
from kvbench.proxy.target import target_address, through

__all__ = ["Conditions", "RunningProxy", "running", "target_address", "through"]
