"""A TCP proxy that simulates a network: delay, jitter, bandwidth, cuts and resets.

``conditions`` the settings · ``target`` addresses of targets · ``alarms`` exact timers · ``pipe``
one direction of a connection · ``connection`` both directions · ``server`` listening and shutdown ·
``running`` a proxy in a separate process.
"""

from kvbench.proxy.conditions import Conditions
from kvbench.proxy.running import RunningProxy, running
from kvbench.proxy.target import target_address, through

__all__ = ["Conditions", "RunningProxy", "running", "target_address", "through"]
