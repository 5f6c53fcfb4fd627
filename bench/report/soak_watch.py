"""A node from outside: memory, files, threads and CPU from /proc, ledger and metrics over HTTP."""

import http.client
import json
import os
import re
from pathlib import Path

HTTP_SECONDS = 10
TICKS = os.sysconf("SC_CLK_TCK")

# Figures without label that a sample keeps.
METRICS = [
    "connections",
    "sessions",
    "sessions_online",
    "subscriptions",
    "shared_subscriptions",
    "retained_messages",
    "messages_between_workers",
    "messages_queued_bytes",
    "publishes_received_total",
    "publishes_sent_total",
    "connects_accepted_total",
    "takeovers_total",
    "wills_published_total",
    "keep_alive_timeouts_total",
    "protocol_errors_total",
]


def get(port: int, path: str) -> str:
    """The body of an answer with status 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HTTP_SECONDS)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read().decode()
        if answer.status != 200:
            raise OSError(f"{path} answered {answer.status}: {body.strip()}")
        return body
    finally:
        connection.close()


def process(pid: int) -> dict:
    """Resident bytes, open files, threads, and CPU seconds of a process."""
    folder = Path(f"/proc/{pid}")
    resident = re.search(r"^Rss:\s+(\d+) kB", (folder / "smaps_rollup").read_text(), re.MULTILINE)
    # The command name in parentheses may hold spaces; utime is the 12th field behind it, threads the 18th.
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    return {
        "resident": int(resident[1]) * 1024,
        "files": len(os.listdir(folder / "fd")),
        "threads": int(fields[17]),
        "cpu": (int(fields[11]) + int(fields[12])) / TICKS,
    }


def metrics(page: str) -> dict[str, float]:
    """The figures in METRICS, and the restarts of all kinds of actors together."""
    found: dict[str, float] = {"actor_restarts_total": 0}
    for line in page.splitlines():
        name, _, value = line.removeprefix("micro_mq_").rpartition(" ")
        if name in METRICS:
            found[name] = float(value)
        elif name.startswith("actor_restarts_total{"):
            found["actor_restarts_total"] += float(value)
    return found


def sample(node: int, driver: int, admin_port: int) -> dict:
    """Everything at about the same moment; files before the question, which opens one."""
    seen = {"node": process(node), "driver": process(driver)}
    seen["metrics"] = metrics(get(admin_port, "/metrics"))
    seen["ledger"] = json.loads(get(admin_port, "/api/v1/ledger"))
    return seen


def log_lines(log: Path) -> dict[str, list[str]]:
    """The lines of warning and error in the node's log, which is JSON; what is no JSON counts as an error."""
    found: dict[str, list[str]] = {"WARN": [], "ERROR": []}
    for line in log.read_text(errors="replace").splitlines():
        if not line.startswith("{"):
            # The node's own lines on standard output, up to the one that says that it is ready.
            if re.search(r"panicked|RUST_BACKTRACE|error", line):
                found["ERROR"].append(line)
            continue
        level = json.loads(line).get("level")
        if level in found:
            found[level].append(line)
    return found
