"""The figures of runs, and whether they hold their goals."""

from dataclasses import dataclass
from enum import Enum
from statistics import median

from scenarios import MOSQUITTO, Goal, Scenario

NODE, RELAY = "micro-mq", "relay"
TOLERANCE = 0.10
MEBIBYTE = 2**20

# Where a result of mqtt-bench holds a figure, by the kind of its scenario.
PATHS = {
    "load": {
        "cpu": "load.broker.cpu.us_each",
        "user": "load.broker.cpu.user_us_each",
        "rate": "load.messages_per_second",
        "p50": "load.latency_us.p50",
        "p90": "load.latency_us.p90",
        "p99": "load.latency_us.p99",
        "p999": "load.latency_us.p999",
        "generator": "load.generator.us_each",
        "peak": "load.broker.resident_peak",
    },
    "slow": {
        "alone_p99": "slow.alone_us.p99",
        "beside_p50": "slow.beside_us.p50",
        "beside_p99": "slow.beside_us.p99",
        "p99_ratio": "slow.p99_ratio",
        "growth": "slow.resident_growth",
        "flood_rate": "slow.flood.beside_per_second",
        "flood_ratio": "slow.flood.rate_ratio",
        "not_delivered": "slow.flood.not_delivered",
    },
    "idle": {
        "bytes_each": "idle.resident_bytes_per_connection",
        "cpu": "idle.broker.us_each",
        "rate": "idle.connects_per_second",
        "after_burst": "idle.after_burst.resident_bytes_per_connection",
    },
    "connect": {
        "rate": "connect.connecting.per_second",
        "cpu": "connect.connecting.broker.us_each",
        "leave_rate": "connect.disconnecting.per_second",
        "leave_cpu": "connect.disconnecting.broker.us_each",
        "generator": "connect.connecting.generator.us_each",
    },
    **{
        kind: {
            "bytes_each": f"{kind}.resident_bytes_each",
            "rate": f"{kind}.per_second",
            "cpu": f"{kind}.broker.us_each",
            "generator": f"{kind}.generator.us_each",
        }
        for kind in ("subscribe", "retain")
    },
    "churn": {
        "rate": "churn.connections_per_second",
        "cpu": "churn.broker.us_each",
        "p50": "churn.connection_us.p50",
        "p99": "churn.connection_us.p99",
        "generator": "churn.generator.us_each",
    },
}


def with_workers(name: str, workers: int) -> str:
    """What a broker is called whose threads are chosen: the node and the relay."""
    return f"{name}-{workers}"


def dig(result: dict | None, path: str) -> float | None:
    """The value at this path, if there is one."""
    found = result
    for name in path.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def figure(scenario: Scenario, result: dict | None, name: str) -> float | None:
    """
    One figure of one run.

    `busy` is the generator's share of one core, `growth_mib` is for people, `counted` is what a broker says it dropped
    over what did not arrive.
    """
    if name == "busy":
        seconds, spent = dig(result, "load.seconds"), dig(result, "load.generator.seconds")
        return spent / seconds if seconds and spent is not None else None
    if name == "growth_mib":
        growth = dig(result, "slow.resident_growth")
        return growth / MEBIBYTE if growth is not None else None
    if name == "counted":
        dropped, missing = dig(result, "slow.flood.dropped_by_broker"), dig(result, "slow.flood.not_delivered")
        return dropped / missing if missing and dropped is not None else None
    path = PATHS[scenario.kind].get(name)
    return dig(result, path) if path else None


class Runs:
    """All runs, by scenario and broker."""

    def __init__(self, scenarios: list[Scenario], runs: list[dict]):
        self.scenarios = {scenario.name: scenario for scenario in scenarios}
        self.brokers = list(dict.fromkeys(run["broker"] for run in runs))
        self.all = runs
        self.by_place: dict[tuple[str, str], list[dict]] = {}
        for run in runs:
            self.by_place.setdefault((run["scenario"], run["broker"]), []).append(run)

    def of(self, scenario: str, broker: str) -> list[dict]:
        """The runs of a broker in a scenario."""
        return self.by_place.get((scenario, broker), [])

    def by_round(self, scenario: str, broker: str, name: str) -> dict[int, float]:
        """A figure for each clean round."""
        if scenario not in self.scenarios:
            return {}
        found = {
            run["round"]: figure(self.scenarios[scenario], run["result"], name)
            for run in self.of(scenario, broker)
            if run["clean"]
        }
        return {number: value for number, value in found.items() if value is not None}

    def values(self, scenario: str, broker: str, name: str) -> list[float]:
        """A figure of all clean rounds."""
        return list(self.by_round(scenario, broker, name).values())

    def failures(self, scenario: str, broker: str) -> list[dict]:
        """The runs that were not clean."""
        return [run for run in self.of(scenario, broker) if not run["clean"]]

    def workers(self) -> list[int]:
        """The numbers of workers that the node was run with."""
        prefix = f"{NODE}-"
        return sorted(int(name.removeprefix(prefix)) for name in self.brokers if name.startswith(prefix))

    def ratios(self, scenario: str, broker: str, name: str, of: str) -> list[float]:
        """A figure over that of another broker, or of another scenario, in the same round."""
        ours = self.by_round(scenario, broker, name)
        other = (of, broker) if of in self.scenarios else (scenario, of)
        theirs = self.by_round(*other, name)
        return [ours[number] / theirs[number] for number in sorted(ours) if theirs.get(number)]

    def second_worker(self, scenario: str) -> list[float]:
        """CPU with two workers over that with one, over the same of the relay's threads, round by round."""
        names = [(NODE, 2), (NODE, 1), (RELAY, 2), (RELAY, 1)]
        node2, node1, relay2, relay1 = (
            self.by_round(scenario, with_workers(name, count), "cpu") for name, count in names
        )
        rounds = node2.keys() & node1.keys() & relay2.keys() & relay1.keys()
        return [
            node2[number] / node1[number] / (relay2[number] / relay1[number])
            for number in sorted(rounds)
            if node1[number] and relay1[number] and relay2[number]
        ]


class Verdict(Enum):
    """What became of a goal."""

    MET = "met"
    WITHIN = "within 10 %"
    MISSED = "**missed**"
    UNKNOWN = "no figure"


def judge(goal: Goal, value: float | None) -> Verdict:
    """Whether a value holds a goal, or does with the tolerance."""
    if value is None:
        return Verdict.UNKNOWN
    if goal.at_least:
        return (
            Verdict.MET
            if value >= goal.bound
            else Verdict.WITHIN if value >= goal.bound * (1 - TOLERANCE) else Verdict.MISSED
        )
    return (
        Verdict.MET
        if value <= goal.bound
        else Verdict.WITHIN if value <= goal.bound * (1 + TOLERANCE) else Verdict.MISSED
    )


@dataclass(frozen=True)
class Judgement:
    """A goal of a scenario, the figure that it bounds, and the verdict."""

    scenario: str
    workers: int
    goal: Goal
    value: float | None
    # Of the single rounds.
    rounds: list[float]
    verdict: Verdict


def judgement(runs: Runs, scenario: Scenario, goal: Goal, workers: int) -> Judgement:
    """Judges one goal of the node with so many workers."""
    broker = with_workers(NODE, workers)
    if not goal.of:
        rounds = runs.values(scenario.name, broker, goal.figure)
    else:
        rounds = runs.ratios(scenario.name, broker, goal.figure, goal.of)
    value = median(rounds) if rounds else None
    if goal.medians and rounds:
        ours, theirs = (runs.values(scenario.name, name, goal.figure) for name in (broker, goal.of))
        value = median(ours) / median(theirs)
    return Judgement(scenario.name, workers, goal, value, rounds, judge(goal, value))


def judgements(runs: Runs, scenario: Scenario, workers: int) -> list[Judgement]:
    """All goals of a scenario that hold for this number of workers."""
    return [
        judgement(runs, scenario, goal, workers) for goal in scenario.goals if goal.workers in (0, workers)
    ]


def faults(runs: Runs) -> list[dict]:
    """Runs that speak against the node or the tools themselves, rather than against a peer."""
    ours = (f"{NODE}-", f"{RELAY}-")
    return [
        run for run in runs.all if not run["clean"] and (run["broker"].startswith(ours) or run.get("fault") == "generator")
    ]
