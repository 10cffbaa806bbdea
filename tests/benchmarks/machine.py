"""What a benchmark ran on, and what each process took of it: CPU time and memory from /proc."""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from installations import descendants

MIB = 1024 * 1024
#: milliseconds of CPU time for a piece of work, by group of processes
Cost = Mapping[str, float]
#: that this process may use
CORES = len(os.sched_getaffinity(0))
_FIXED_WORK = Path(__file__).parents[2] / ".ci" / "speed.py"
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a group of processes holds, in bytes."""

    processes: int
    #: pages in memory; what processes share is counted in each
    rss: int
    #: the same, what is shared divided among those who share it
    pss: int


def describe(url: str) -> str:
    """Return the machine in one line: cores, Python, PostgreSQL, and how busy others keep it."""
    with psycopg.connect(url) as connection:
        server = connection.info.parameter_status("server_version")
    load = os.getloadavg()[0]
    return (
        f"{CORES} cores ({_processor()}), Python {platform.python_version()}, PostgreSQL {server}, "
        f"load before the start {load:.2f}, {pace()}"
    )


def pace() -> str:
    """Return how fast the cores are now, one alone and all at once: a shared host has slow minutes."""
    alone, at_once = (max(_fixed_work_ms(count)) for count in (1, CORES))
    return f"fixed work in {alone:.1f} ms on one core and {at_once:.1f} on all at once"


def cpu_s(pid: int) -> float:
    """Return the CPU time of the process and of everything below it, in seconds."""
    return sum(_cpu_s(each) for each in _family(pid))


def spent(groups: Mapping[str, int]) -> dict[str, float]:
    """Return the CPU time of each group by the process at its top, in seconds."""
    return {name: cpu_s(pid) for name, pid in groups.items()}


def cost(before: Mapping[str, float], after: Mapping[str, float], *, senders_s: float, count: int) -> Cost:
    """Return what one of so many pieces of work cost.

    Args:
        before: what each group had spent before them, as `spent` returns it.
        after: the same after them.
        senders_s: CPU time of who asked for them.
        count: how many they were.
    """
    taken_s = {name: after[name] - before[name] for name in before} | {"senders": senders_s}
    return {name: each_s / count * 1000 for name, each_s in taken_s.items()}


def costs(measured: Sequence[Cost]) -> str:
    """Return the median cost of each group that took anything worth telling."""
    medians = {name: statistics.median(each[name] for each in measured) for name in measured[0]}
    return ", ".join(f"{name} {cost:.1f}" for name, cost in medians.items() if cost >= 0.05)


def memory(pid: int) -> Memory:
    """Return what the process and everything below it hold; guards that only wait are left out."""
    rss = pss = processes = 0
    for each in _family(pid):
        try:
            if "guard.py" in Path(f"/proc/{each}/cmdline").read_text():
                continue
            sizes = dict(
                line.split(":", 1) for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()[1:]
            )
        except (OSError, ValueError):
            continue
        processes += 1
        rss += int(sizes["Rss"].split()[0]) * 1024
        pss += int(sizes["Pss"].split()[0]) * 1024
    return Memory(processes=processes, rss=rss, pss=pss)


def quieten(*, share: float = 0.1, within_s: float = 30) -> float:
    """Wait until the cores are as good as idle, and return how many seconds that took.

    What one side leaves behind, such as garbage, vacuum and compilation, is not to be the other's burden.

    Args:
        share: of all cores that may be busy for a second.
        within_s: as long as that at most.
    """
    begun = time.monotonic()
    while time.monotonic() - begun < within_s:
        before = _busy_s()
        time.sleep(1)
        if _busy_s() - before <= share * CORES:
            break
    return time.monotonic() - begun


def shares(cpu_s: Mapping[str, float], elapsed_s: float) -> str:
    """Return the CPU time of each group as percent of one core."""
    return ", ".join(f"{name} {spent / elapsed_s:.0%}" for name, spent in cpu_s.items())


def percentiles(times_s: Sequence[float]) -> tuple[float, float, float]:
    """Return p50, p95 and p99 in milliseconds."""
    cuts = statistics.quantiles(times_s, n=100, method="inclusive")
    return cuts[49] * 1000, cuts[94] * 1000, cuts[98] * 1000


def _busy_s() -> float:
    """Return for how long all cores together were busy since the start of the system, for whomever."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) * _TICK_S


def _fixed_work_ms(count: int) -> list[float]:
    started = [
        subprocess.Popen([sys.executable, _FIXED_WORK], stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    return [int(process.communicate()[0]) / 1000 for process in started]


def _family(pid: int) -> list[int]:
    return [pid, *(number for number, _ in descendants(pid))]


def _cpu_s(pid: int) -> float:
    """Return the CPU time of one process and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) * _TICK_S


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown")
