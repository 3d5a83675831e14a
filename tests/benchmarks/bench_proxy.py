"""The delay that the proxy adds is the delay that was asked for."""

from __future__ import annotations

import pytest

from kvbench.proxy import running
from tests.proxy.proxy_peers import connect, echo, round_trip_s, serving


@pytest.mark.parametrize("delay_ms", [0.5, 2])
def test_a_delay_is_added_to_each_round_trip(delay_ms):
    """Added to the median, on one connection, within 20% in the best of five attempts.

    On a quiet machine it is within 4%: 0.51 ms were measured for 0.5, and 2.03 for 2.
    """
    added_ms = []
    with (
        serving(echo) as target,
        running(target) as proxy,
        connect(proxy.address) as client,
    ):
        round_trip_s(client, 100)
        for _ in range(5):
            proxy.set_delay(0)
            plain = round_trip_s(client, 200)
            proxy.set_delay(int(delay_ms * 1e6))
            added_ms.append((round_trip_s(client, 200) - plain) * 1000)
    best = min(added_ms, key=lambda added: abs(added - delay_ms))
    print(f"\n{best:.2f} ms added for {delay_ms} (bound 20%)")
    assert best == pytest.approx(delay_ms, rel=0.2)
