# SPDX-License-Identifier: BSD-3-Clause
"""One worker and two, of the same work: how much the second one brings."""
import statistics

from engine import _link
from measure import CPUS, FIRST, LAST, Failure, Row, median_of


def scaling(o):
    """Keep-alives over `memory`: nothing but the workers themselves can keep the second from doing as much as
    the first, as each has rings of its own. On a shared machine the two CPUs may be threads of one core."""
    if len(CPUS) < 2:
        raise Failure("one processor only")
    alone, both, quiet = [], [], []
    for _ in range(o.repeats):
        one, two = _link(o, 1, [FIRST])[0], _link(o, 2, [FIRST, LAST])[0]
        alone.append(one.median)
        both.append(two.median)
        quiet.append(bool(one.quiet and two.quiet))
    rate = median_of(both, "/s", quiet)
    ratio = statistics.median(b / a for a, b in zip(alone, both))
    return [Row("scaling", "answered keep-alives a second over `memory`, two workers on two cores", rate, ratio,
                f"one worker on one core, {statistics.median(alone):,.0f}/s", "at least 1.8x", ratio >= 1.8,
                "sipherd (workers always busy)")]
