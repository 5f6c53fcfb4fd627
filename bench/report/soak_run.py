"""Runs a soak: starts node and driver, samples, ends both, judges and writes. Started by scripts/soak.sh."""

import argparse
import json
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

from brokers import START_SECONDS, BrokerError, MicroMq, free_port
from machine import describe
from soak_judge import criteria, rests
from soak_report import markdown, plot
from soak_watch import get, log_lines, sample

ROOT = Path(__file__).resolve().parents[2]
# Cycles of load and rest: one in four minutes, but at least this many.
CYCLES_MIN, CYCLE_MINUTES = 4, 4
QUIET_SECONDS_MAX = 20
# On top of the length: phases of load come to rest, the driver says good-bye.
GRACE_SECONDS = 300
SAMPLES_MAX = 2000


class SoakNode(MicroMq):
    """The node with ports that the soak knows, and a log that a program can read."""

    def __init__(self, folder: Path, program: Path, settings: list[str]):
        super().__init__(folder, program, 0, settings)
        self.websocket_port, self.admin_port = free_port(), free_port()

    def command(self) -> list[str]:
        settings = [
            f"listener.tcp.bind=127.0.0.1:{self.port}",
            f"listener.websocket.bind=127.0.0.1:{self.websocket_port}",
            f"admin.bind=127.0.0.1:{self.admin_port}",
            "log.format=json",
            "store.backend=memory",
            *self.settings,
        ]
        return [str(self.program), "run", *(word for setting in settings for word in ("--set", setting))]

    def wait_for_port(self) -> None:
        """Until it answers questions as well."""
        super().wait_for_port()
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                get(self.admin_port, "/health/ready")
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise BrokerError(f"the node is not ready after {START_SECONDS} s: {error}") from error
                time.sleep(0.05)


class Driver:
    """The driver and what it tells; use it in a `with` statement."""

    def __init__(self, command: list[str]):
        self.command = command
        self.started = 0.0
        self.told: list[dict] = []

    def __enter__(self) -> "Driver":
        self.started = time.monotonic()
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        return self

    def __exit__(self, *_exception) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()

    def read(self) -> None:
        """Every line, until the driver ends; phases are shown as they begin."""
        for line in self.process.stdout:
            told = json.loads(line)
            self.told.append(told)
            if told["event"] == "phase" and told["name"] in ("load", "quiet", "gone"):
                print(f"{told['at']:7.0f} s  {told['name']:<6} {told['connections']} connections", flush=True)

    def of(self, event: str) -> list[dict]:
        """What it told under this name."""
        return [told for told in self.told if told["event"] == event]


def arguments() -> argparse.Namespace:
    """The command line, which scripts/soak.sh documents."""
    parser = argparse.ArgumentParser(prog="scripts/soak.sh")
    parser.add_argument("--driver", type=Path, required=True)
    parser.add_argument("--node", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args()
    if not 2 <= chosen.minutes <= 24 * 60:
        parser.error(f"{chosen.minutes:g} minutes: must be within 2 and 1440")
    return chosen


def main() -> int:
    """Returns the exit status."""
    chosen = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    output = chosen.output or ROOT / "results" / datetime.now().strftime("soak-%Y-%m-%d-%H%M%S")
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="micro-mq-soak.") as temporary:
        run = soak(chosen, SoakNode(Path(temporary), chosen.node, chosen.settings))
    run["criteria"] = criteria(run)
    run["passed"] = all(it["passed"] for it in run["criteria"])
    run["rests"] = [rest.summary() for rest in rests(run["phases"], run["samples"])]
    (output / "soak.json").write_text(json.dumps(run) + "\n")
    (output / "soak.svg").write_text(plot(run))
    report = markdown(run)
    (output / "soak.md").write_text(report)
    print(f"\n{report}\nwritten to {output}")
    return 0 if run["passed"] else 1


def soak(chosen: argparse.Namespace, node: SoakNode) -> dict:
    """The run, with everything that was seen."""
    # Now: the checkout may be another one when the run ends.
    machine = describe(chosen.node)
    seconds = chosen.minutes * 60
    cycle = seconds / max(CYCLES_MIN, round(chosen.minutes / CYCLE_MINUTES))
    quiet = min(QUIET_SECONDS_MAX, cycle / 3)
    driver = Driver([
        str(chosen.driver),
        "soak",
        *("--broker", f"127.0.0.1:{node.port}", "--websocket", f"127.0.0.1:{node.websocket_port}"),
        *("--seconds", f"{seconds - cycle / 2:.1f}", "--load", f"{cycle - quiet:.1f}", "--quiet", f"{quiet:.1f}"),
        *("--seed", str(chosen.seed)),
    ])
    samples: list[dict] = []
    problems: list[str] = []
    with node:
        with driver:
            watch(driver, node, max(1, seconds / SAMPLES_MAX), seconds + GRACE_SECONDS, samples, problems)
        node.stop()
    return {
        "minutes": chosen.minutes,
        "seed": chosen.seed,
        "settings": chosen.settings,
        "machine": machine,
        "phases": driver.of("phase"),
        "figures": driver.of("figures"),
        "latencies": driver.of("latency"),
        "end": next(iter(driver.of("end")), None),
        "problems": problems,
        "driver_status": driver.process.returncode,
        "node_status": node.process.returncode,
        "log": log_lines(node.log),
        "samples": samples,
    }


def watch(
    driver: Driver, node: SoakNode, interval: float, longest: float, samples: list[dict], problems: list[str]
) -> None:
    """Takes a sample every `interval` seconds until the driver has ended."""
    while driver.process.poll() is None:
        at = time.monotonic() - driver.started
        if at > longest:
            problems.append(f"the driver did not end within {longest:.0f} s")
            return
        if node.process.poll() is not None:
            problems.append(f"the node ended during the run: {node.last_lines()}")
            return
        try:
            seen = sample(node.pid, driver.process.pid, node.admin_port)
            samples.append({"at": at, **seen, "ended": time.monotonic() - driver.started})
        except (OSError, TypeError, BrokerError) as error:
            # The driver may have ended in between; a node that does not answer is a finding.
            if driver.process.poll() is None:
                problems.append(f"no sample after {at:.0f} s: {error}")
        # The pace of the samples.
        time.sleep(max(0.05, interval - (time.monotonic() - driver.started - at)))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        # Node and driver were ended on the way here.
        sys.exit(130)
