"""What the figures were measured on."""

import os
import platform
import re
import subprocess
from pathlib import Path


def describe(node: Path) -> dict[str, str]:
    """Machine, kernel and versions, for the head of a report."""
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1]) / 2**20
    processor = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return {
        "processor": processor[1] if processor else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "micro-mq": first_line([str(node), "version"]),
        "commit": first_line(["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]),
        "mosquitto": first_line(["mosquitto", "-h"]),
        "rustc": first_line(["rustc", "--version"]),
    }


def first_line(command: list[str]) -> str:
    """What a program says of itself, or that it is not to be had."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except OSError:
        return "unknown"
    return next(iter((said.stdout + said.stderr).strip().splitlines()), "unknown")
