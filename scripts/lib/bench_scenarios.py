"""The scenarios that scripts/bench.sh runs, and the goals that they are judged by."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scenario:
    """One line of the report. Goals are upper bounds, by the name of the figure."""

    name: str
    arguments: str
    quick: bool = False
    goals: dict[str, float] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The table that it belongs to: load, slow or idle."""
        first = self.arguments.split()[0]
        return first if first in ("slow", "idle") else "load"

    def command(self, seconds: float) -> list[str]:
        """The arguments of mqtt-bench, for bulk runs of this length."""
        words = self.arguments.split()
        return words if self.kind == "idle" else [*words, "--seconds", f"{seconds:g}"]


SCENARIOS = [
    Scenario("pub-1-q0", "pub", quick=True),
    Scenario("pub-1-q1-w100", "pub --qos 1 --window 100"),
    Scenario("pub-1000-q0", "pub --publishers 1000"),
    Scenario("pub-1000-q1-w1", "pub --publishers 1000 --qos 1 --window 1"),
    Scenario("fanin-q0", "fanin"),
    Scenario("fanin-q1-w1", "fanin --qos 1 --window 1"),
    Scenario("fanin-q1-w20", "fanin --qos 1 --window 20", quick=True, goals={"cpu_ratio": 0.12}),
    Scenario("fanin-q2-w1", "fanin --qos 2 --window 1"),
    Scenario("fanout-q0", "fanout", quick=True, goals={"cpu_ratio": 0.08}),
    Scenario("fanout-q1-w50", "fanout --qos 1 --window 50"),
    Scenario("pairs-q0", "pairs"),
    Scenario("pairs-q1-w10", "pairs --qos 1 --window 10", quick=True),
    Scenario("pairs-q2-w10", "pairs --qos 2 --window 10"),
    Scenario("pairs-q1-w10-v5", "pairs --qos 1 --window 10 --mqtt 5.0"),
    Scenario("paced-q0", "pairs --publishers 100 --rate 10000"),
    Scenario("paced-q1", "pairs --publishers 100 --rate 10000 --qos 1"),
    # An outbox of 1 MiB and 5 MiB beside it.
    Scenario("slow-q0", "slow", quick=True, goals={"p99_ratio": 2.0, "growth_mib": 6.0}),
    Scenario("slow-q1", "slow --qos 1", goals={"p99_ratio": 2.0}),
    Scenario("idle-19000", "idle --connections 19000", quick=True, goals={"bytes_each": 1500}),
    Scenario("idle-19000-subscribed", "idle --connections 19000 --subscribe"),
]
