"""Runs the scenarios against the brokers in turn, and writes results and report. Started by scripts/bench.sh."""

import argparse
import json
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from bench_brokers import MOSQUITTO_CONFIGURATION, BrokerError, MicroMq, Mosquitto
from bench_machine import describe
from bench_report import markdown
from bench_scenarios import SCENARIOS, Scenario

ROOT = Path(__file__).resolve().parents[2]
# On top of a run's own length: connecting, settling, and the generator's own deadline.
RUN_GRACE_SECONDS = 120


def arguments() -> argparse.Namespace:
    """The command line, which scripts/bench.sh documents."""
    parser = argparse.ArgumentParser(prog="scripts/bench.sh")
    parser.add_argument("--generator", type=Path)
    parser.add_argument("--node", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--only", action="append", default=[], choices=[it.name for it in SCENARIOS], metavar="NAME")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--list", action="store_true")
    chosen = parser.parse_args()
    if chosen.rounds < 3:
        parser.error(f"--rounds {chosen.rounds}: a median needs at least 3")
    return chosen


def main() -> int:
    """Returns the exit status."""
    chosen = arguments()
    if chosen.list:
        for scenario in SCENARIOS:
            print(f"{scenario.name:<22} {'quick ' if scenario.quick else '      '} mqtt-bench {scenario.arguments}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    scenarios = [it for it in SCENARIOS if (it.name in chosen.only if chosen.only else it.quick or not chosen.quick)]
    seconds = chosen.seconds or (2 if chosen.quick else 6)
    settings = chosen.settings + ([f"node.workers={chosen.workers}"] if chosen.workers else [])
    output = chosen.output or ROOT / "results" / datetime.now().strftime("%Y-%m-%d-%H%M%S")
    output.mkdir(parents=True, exist_ok=True)

    started = time.monotonic()
    runs = []
    with tempfile.TemporaryDirectory(prefix="micro-mq-bench.") as temporary:
        brokers = {
            "micro-mq": lambda folder: MicroMq(folder, chosen.node, settings),
            "mosquitto": Mosquitto,
        }
        for number in range(1, chosen.rounds + 1):
            for scenario in scenarios:
                for name, broker in brokers.items():
                    folder = Path(temporary, f"{number}-{scenario.name}-{name}")
                    folder.mkdir()
                    run = measure(chosen.generator, broker(folder), scenario, seconds)
                    runs.append({"scenario": scenario.name, "round": number, "broker": name, **run})
                    print(f"{number}/{chosen.rounds} {scenario.name:<22} {name:<10} {summary(run)}", flush=True)

    results = {
        "machine": describe(chosen.node),
        "settings": {
            "rounds": chosen.rounds,
            "seconds": seconds,
            "node": settings,
            "mosquitto": MOSQUITTO_CONFIGURATION.replace("{port}", "PORT").splitlines(),
        },
        "minutes": (time.monotonic() - started) / 60,
        "runs": runs,
    }
    (output / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    report = markdown(results, scenarios)
    (output / "report.md").write_text(report)
    print(f"\n{report}\nwritten to {output}")
    return 0 if all(run["clean"] for run in runs) else 1


def measure(generator: Path, broker, scenario: Scenario, seconds: float) -> dict:
    """One run against a broker of its own: the generator's result, or why there is none."""
    result = broker.folder / "result.json"
    try:
        with broker:
            command = [
                str(generator),
                *scenario.command(seconds),
                *("--broker", f"127.0.0.1:{broker.port}", "--pid", str(broker.pid)),
                *("--json", str(result), "--quiet"),
            ]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds * 4 + RUN_GRACE_SECONDS)
            if broker.process.poll() is not None:
                raise BrokerError(f"{broker.name} ended during the run: {broker.last_lines()}")
    except (BrokerError, subprocess.TimeoutExpired) as error:
        return {"clean": False, "problem": str(error), "result": None}
    found = json.loads(result.read_text()) if result.exists() else None
    run = {"clean": ended.returncode == 0, "command": shlex.join(["mqtt-bench", *command[1:]]), "result": found}
    if ended.returncode != 0:
        run["problem"] = ended.stderr.strip() or problem(found)
    return run


def problem(result: dict) -> str:
    """What an unclean result says, in one line."""
    faults = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in result["faults"].items())
    return "; ".join([faults, f"{result['unacknowledged']} unacknowledged", *result["notes"]])


def summary(run: dict) -> str:
    """One line for the terminal."""
    if "problem" in run:
        return f"NOT CLEAN: {run['problem']}"
    result = run["result"]
    if load := result["load"]:
        cpu = f"{load['broker']['cpu']['us_each']:.3f} us of CPU each"
        return f"{load['messages_per_second']:>10,.0f} messages/s, {cpu}"
    if slow := result["slow"]:
        growth = slow["resident_growth"] / 2**20
        return f"p99 {slow['alone_us']['p99']:,.0f} -> {slow['beside_us']['p99']:,.0f} us, grew by {growth:.1f} MiB"
    return f"{result['idle']['resident_bytes_per_connection']:,.0f} B per connection"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        # The brokers were ended on the way here.
        sys.exit(130)
