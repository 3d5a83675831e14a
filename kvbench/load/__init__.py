"""Load: many clients, an open or a closed loop, latency percentiles and throughput."""
