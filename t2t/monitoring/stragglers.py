"""Which of several hosts keeps the others waiting.

Collectives make every host's step take as long as the slowest's, so step times say nothing. What a
host adds of its own does: its wait for data, and the time that its Python takes between steps.
"""

import statistics

_TIMES_MEDIAN = 2.0
_SHARE_OF_STEP = 0.1


def host_row(told: dict[int, dict[str, float]]) -> dict[str, float]:
    """Returns what a metrics row says of the hosts: the slowest, its seconds a step, the median's.

    told: of each host, `data_wait_seconds` and `host_seconds` a step.
    """
    if not told:
        return {}
    own = {host: sum(values.values()) for host, values in told.items()}
    slowest = max(own, key=lambda host: own[host])
    return {
        "slowest_host": slowest,
        "slowest_host_seconds": own[slowest],
        "median_host_seconds": statistics.median(own.values()),
    }


def straggler(told: dict[int, dict[str, float]], step_seconds: float) -> str | None:
    """Returns a line that names a host by which the others are held up; None where there is none."""
    row = host_row(told)
    if not row:
        return None
    seconds, median = row["slowest_host_seconds"], row["median_host_seconds"]
    if seconds < _TIMES_MEDIAN * median or seconds < _SHARE_OF_STEP * step_seconds:
        return None
    host = int(row["slowest_host"])
    values = told[host]
    return (
        f"host {host} holds up the others: of a step of {step_seconds:.3f} s it waits "
        f"{values['data_wait_seconds']:.3f} s for data and takes {values['host_seconds']:.3f} s of "
        f"its own; the median host {median:.3f} s in all"
    )
