"""What the figures were measured on."""

import os
import platform
import re
import subprocess
from pathlib import Path


def describe(programs: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Machine, kernel, and what each program says of its version, for the head of a report."""
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1]) / 2**20
    cpuinfo = Path("/proc/cpuinfo").read_text()
    processor = re.search(r"model name\s*:\s*(.+)", cpuinfo)
    virtual = ", virtual" if re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo, re.MULTILINE) else ""
    return {
        "processor": (processor[1] if processor else platform.machine()) + virtual,
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "commit": first_line(("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty")),
        "rustc": first_line(("rustc", "--version")),
        **{name: first_line(command) for name, command in programs.items() if command},
    }


def busy_cores() -> float:
    """How much else runs: the machine's load over the last minute."""
    return os.getloadavg()[0]


def first_line(command: tuple[str, ...]) -> str:
    """What a program says of itself, or that it is not to be had."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return next(iter((said.stdout + said.stderr).strip().splitlines()), "unknown")
