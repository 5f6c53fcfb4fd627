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

import report
from brokers import MOSQUITTO_CONFIGURATION, BrokerError
from figures import NODE, dig, faults, figure
from machine import busy_cores, describe
from peers import Peer, nodes, peers
from scenarios import GROUPS, SCENARIOS, Scenario

ROOT = Path(__file__).resolve().parents[2]
# On top of a run's own length: connecting, settling, and the generator's own deadline.
RUN_GRACE_SECONDS = 120
# A peer that failed a scenario so often is not run in it again.
FAILURES_MAX = 2
# Addresses that the connections of a run come from: enough for the ports of 19,000 that come and go three times.
SOURCES = 8
# What a run takes beyond its own length: for the first guess of how long it all takes.
OVERHEAD_SECONDS = 2
# A quick run begins no further run after so long, and so ends within three minutes on any machine.
QUICK_SECONDS = 165


def arguments() -> argparse.Namespace:
    """The command line, which scripts/bench.sh documents."""
    parser = argparse.ArgumentParser(prog="scripts/bench.sh", allow_abbrev=False)
    parser.add_argument("--generator", type=Path)
    parser.add_argument("--node", type=Path)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--workers", type=numbers)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--only", action="append", default=[], choices=[it.name for it in SCENARIOS], metavar="NAME")
    parser.add_argument("--group", action="append", default=[], choices=list(GROUPS))
    parser.add_argument("--peer", action="append", default=[], metavar="NAME[=COMMAND]")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--into", type=Path)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--list", action="store_true")
    chosen = parser.parse_args()
    if chosen.rounds is not None and chosen.rounds < 3:
        parser.error(f"--rounds {chosen.rounds}: a median needs at least 3")
    if chosen.again and not chosen.output:
        parser.error("--again needs --output, the folder of a former run")
    if chosen.into:
        try:
            report.between_marks(chosen.into.read_text(), "")
        except (OSError, ValueError) as error:
            parser.error(f"--into {chosen.into}: {error}")
    return chosen


def numbers(text: str) -> list[int]:
    """1,2"""
    found = sorted({int(word) for word in text.split(",")})
    if found[0] < 1:
        raise ValueError
    return found


def chosen_scenarios(chosen: argparse.Namespace) -> list[Scenario]:
    """Those named, those of a group, the quick ones, or all."""
    if chosen.only or chosen.group:
        return [it for it in SCENARIOS if it.name in chosen.only or it.group in chosen.group]
    return [it for it in SCENARIOS if it.quick or not chosen.quick]


def main() -> int:
    """Returns the exit status."""
    chosen = arguments()
    scenarios = chosen_scenarios(chosen)
    if chosen.list:
        for scenario in scenarios:
            print(f"{scenario.group:<12} {scenario.name:<30} mqtt-bench {scenario.arguments}")
        return 0
    if chosen.again:
        results = json.loads((chosen.output / "results.json").read_text())
        report.write(results, SCENARIOS, chosen.output, chosen.into)
        report.draw(results, SCENARIOS, chosen.output)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    workers = chosen.workers or ([1] if chosen.quick else [1, 2])
    try:
        others = peers(chosen.peer, chosen.generator, workers, chosen.quick)
    except ValueError as error:
        sys.exit(f"bench.sh: {error}")
    bench = Bench(chosen, scenarios, [*nodes(chosen.node, workers, chosen.settings), *others], workers)
    bench.run()
    for fault in faults(report.runs_of(bench.results, scenarios)):
        print(f"FAULT: round {fault['round']}, {fault['scenario']}, {fault['broker']}: {fault['problem']}")
        bench.status = 1
    print(f"report: {bench.output / 'report.md'}")
    return bench.status


class Bench:
    """All rounds of all scenarios, and what they found so far."""

    def __init__(self, chosen: argparse.Namespace, scenarios: list[Scenario], brokers: list[Peer], workers: list[int]):
        self.generator: Path = chosen.generator
        self.into: Path | None = chosen.into
        self.scenarios = scenarios
        self.brokers = brokers
        self.seconds: float = chosen.seconds or (1.5 if chosen.quick else 5)
        self.rounds = {
            it.name: chosen.rounds or (3 if chosen.quick else it.rounds) for it in scenarios
        }
        self.output = chosen.output or ROOT / "results" / datetime.now().strftime("%Y-%m-%d-%H%M%S")
        self.deadline = time.monotonic() + QUICK_SECONDS if chosen.quick else None
        self.status = 0
        versions = {broker.name: broker.version for broker in brokers if not broker.name.startswith(f"{NODE}-")}
        versions[NODE] = (str(chosen.node), "version")
        self.results = {
            "date": datetime.now().strftime("%Y-%m-%d %H:%M"),
            "machine": describe(versions) | {"load before the first run": f"{busy_cores():.2f} cores"},
            "settings": {
                "seconds": self.seconds,
                "workers": workers,
                "node": chosen.settings,
                "mosquitto": MOSQUITTO_CONFIGURATION.replace("{port}", "PORT").splitlines(),
                "brokers": [broker.name for broker in brokers],
                "scenarios": [it.name for it in scenarios],
            },
            "minutes": 0.0,
            "runs": [],
        }

    def run(self) -> None:
        """Each round runs each scenario against each broker in turn; results are written after every round."""
        self.output.mkdir(parents=True, exist_ok=True)
        plan = [
            (number, scenario, broker)
            for number in range(1, max(self.rounds.values()) + 1)
            for scenario in self.scenarios
            if number <= self.rounds[scenario.name]
            # Another one begins in each round: nobody always follows the same one.
            for broker in rotated(self.brokers, number)
            if broker.takes_part(scenario)
        ]
        guess = sum((self.seconds if it.is_timed else 10) + OVERHEAD_SECONDS for _, it, _ in plan)
        print(f"{len(plan)} runs, about {max(guess / 60, 1):.0f} minutes", flush=True)
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="micro-mq-bench.") as temporary:
            for place, (number, scenario, broker) in enumerate(plan, 1):
                run = self.one(Path(temporary, f"{place}"), number, scenario, broker)
                self.results["runs"].append(run)
                passed = time.monotonic() - started
                left = passed / place * (len(plan) - place) / 60
                print(f"{place}/{len(plan)} {scenario.name:<24} {broker.name:<11} {summary(scenario, run)}"
                      f" ({left:.0f} min left)", flush=True)
                late = self.deadline is not None and time.monotonic() > self.deadline
                if late or place == len(plan) or plan[place][0] != number:
                    self.results["minutes"] = passed / 60
                    report.write(self.results, self.scenarios, self.output, self.into)
                    report.draw(self.results, self.scenarios, self.output)
                if late:
                    print(f"out of time: {len(plan) - place} runs are left out", flush=True)
                    break

    def one(self, folder: Path, number: int, scenario: Scenario, broker: Peer) -> dict:
        """One run, unless a peer failed often enough."""
        run = {"scenario": scenario.name, "round": number, "broker": broker.name}
        failed = sum(
            1
            for it in self.results["runs"]
            if not it["clean"] and (it["scenario"], it["broker"]) == (scenario.name, broker.name)
        )
        if failed >= FAILURES_MAX and not broker.name.startswith(f"{NODE}-"):
            problem = f"not run again after {failed} failures"
            return run | {"clean": False, "skipped": True, "fault": "broker", "problem": problem, "result": None}
        folder.mkdir()
        sources = own_sources(int(folder.name))
        return run | measure(self.generator, broker.make(folder, scenario), scenario, self.seconds, sources)


def own_sources(place: int) -> list[str]:
    """
    Loopback addresses that the last 250 runs did not use. Connections that were closed keep their ports for a minute;
    a run that came after them would spend its time on the search for free ones, whoever the broker is.
    """
    return [f"127.0.{1 + place % 250}.{number}" for number in range(1, SOURCES + 1)]


def rotated(brokers: list[Peer], number: int) -> list[Peer]:
    """The same ones, each round beginning with another."""
    start = (number - 1) % len(brokers)
    return brokers[start:] + brokers[:start]


def measure(generator: Path, broker, scenario: Scenario, seconds: float, sources: list[str]) -> dict:
    """One run against a broker of its own: the generator's result, or why there is none and whose fault that is."""
    result = broker.folder / "result.json"
    command = []
    try:
        with broker:
            command = [
                str(generator),
                *scenario.command(seconds),
                *broker.generator_options,
                *(word for source in sources for word in ("--source", source)),
                *("--broker", f"127.0.0.1:{broker.port}", "--pid", str(broker.pid)),
                *("--json", str(result), "--quiet"),
            ]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds * 4 + RUN_GRACE_SECONDS)
            if broker.process.poll() is not None:
                raise BrokerError(f"{broker.name} ended during the run: {broker.last_lines()}")
            dropped = broker.dropped() if "--flood" in command else None
    except (BrokerError, OSError) as error:
        return {"clean": False, "fault": "broker", "problem": str(error), "result": None}
    except subprocess.TimeoutExpired as error:
        problem = f"did not end within {error.timeout:.0f} s"
        return {"clean": False, "fault": "broker", "problem": problem, "result": None}
    found = json.loads(result.read_text()) if result.exists() else None
    if found and dig(found, "slow.flood"):
        found["slow"]["flood"]["dropped_by_broker"] = dropped
    run = {"clean": ended.returncode == 0, "command": shlex.join(["mqtt-bench", *command[1:]]), "result": found}
    if ended.returncode != 0:
        run["problem"] = problem_of(found) if found else (ended.stderr.strip() or f"status {ended.returncode}")
        # 1 is a run that was not clean; a mistaken command line, a panic or a signal is the generator's own.
        run["fault"] = "broker" if ended.returncode == 1 else "generator"
    return run


def problem_of(result: dict) -> str:
    """What an unclean result says, in one line."""
    found = [f"{count:,} {name.replace('_', ' ')}" for name, count in result["faults"].items() if count]
    if result["unacknowledged"]:
        found.append(f"{result['unacknowledged']:,} unacknowledged")
    return "; ".join([*found, *result["notes"]]) or "not clean"


SUMMARIES = (
    ("rate", "{:,.0f}/s"),
    ("cpu", "{:.3f} us of CPU each"),
    ("p99", "p99 {:,.0f} us"),
    ("bytes_each", "{:,.0f} B each"),
    ("after_burst", "{:,.0f} B each after the burst"),
    ("p99_ratio", "p99 x {:.2f}"),
    ("growth_mib", "grew by {:.1f} MiB"),
    ("flood_ratio", "flood x {:.2f}"),
    ("not_delivered", "{:,.0f} not delivered"),
)


def summary(scenario: Scenario, run: dict) -> str:
    """One line for the terminal."""
    if "problem" in run:
        return f"NOT CLEAN: {run['problem']}"
    shown = ((form, figure(scenario, run["result"], name)) for name, form in SUMMARIES)
    return ", ".join(form.format(value) for form, value in shown if value is not None)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        # The brokers were ended on the way here.
        sys.exit(130)
