"""The scenarios that scripts/bench.sh runs, in groups, and the goals that they are judged by."""

from dataclasses import dataclass

MOSQUITTO = "mosquitto"
GROUPS = {
    "table": "CPU and rate of bulk load",
    "latency": "Latency at a fixed rate, and beside subscribers that never read",
    "memory": "Memory of idle connections, subscriptions and retained messages",
    "connections": "Connections",
    "growth": "How cost grows with subscribers and filters",
    "go": "The load runs of the Go project's benchmark",
    "large": "Large payloads",
}


@dataclass(frozen=True)
class Goal:
    """A bound of one figure: of its ratio to `of`, a broker or another scenario of the node, or of itself."""

    figure: str
    bound: float
    of: str = ""
    at_least: bool = False
    # Holds with this many workers only; 0: with any number.
    workers: int = 0
    # The ratio of the medians instead of the median of the ratios: where single rounds go far astray.
    medians: bool = False

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g}"


@dataclass(frozen=True)
class Scenario:
    """One line of the report."""

    name: str
    group: str
    arguments: str
    goals: tuple[Goal, ...] = ()
    rounds: int = 3
    quick: bool = False
    # The stateless relay is run as well.
    relay: bool = False

    @property
    def kind(self) -> str:
        """What its result holds: load (bulk and paced), or the scenario of mqtt-bench itself."""
        first = self.arguments.split()[0]
        return first if first in ("slow", "idle", "connect", "churn", "subscribe", "retain") else "load"

    @property
    def is_timed(self) -> bool:
        """The length of a run is for scripts/bench.sh to choose."""
        return self.kind in ("load", "slow", "churn") and "--messages" not in self.arguments

    def command(self, seconds: float) -> list[str]:
        """The arguments of mqtt-bench, for timed runs of this length."""
        words = self.arguments.split()
        return [*words, "--seconds", f"{seconds:g}"] if self.is_timed else words


def bulk(name: str, arguments: str, cpu: float, rate: float, quick: bool = False) -> Scenario:
    """A row of the table: CPU per message at most, messages per second at least so many times mosquitto's."""
    goals = (Goal("cpu", cpu, of=MOSQUITTO), Goal("rate", rate, of=MOSQUITTO, at_least=True))
    return Scenario(name, "table", arguments, goals, rounds=5, quick=quick, relay=True)


def paced(name: str, arguments: str, quick: bool = False) -> Scenario:
    """10,000 messages per second over 100 publishers."""
    goals = (
        Goal("p50", 1.15, of=MOSQUITTO, workers=1, medians=True),
        Goal("p99", 1.5, of=MOSQUITTO, workers=1, medians=True),
    )
    return Scenario(name, "latency", f"paced --publishers 100 --rate 10000 {arguments}".strip(), goals, 7, quick)


def grown_subscribers(count: int) -> Scenario:
    """The same number of deliveries outstanding for each subscriber, so that batches have the same size."""
    goals = (Goal("cpu", 1.25, of="subscribers-100"),) if count > 100 else ()
    arguments = f"fanout --subscribers {count} --outstanding {50 * count}"
    return Scenario(f"subscribers-{count}", "growth", arguments, goals, relay=True)


def grown_filters(count: int) -> Scenario:
    """Two filters match each message, however many there are."""
    goals = (Goal("cpu", 1.25, of="filters-100"),) if count > 100 else ()
    return Scenario(f"filters-{count}", "growth", f"wild --subscribers 50 --filters {count}", goals)


def go(name: str, arguments: str) -> list[Scenario]:
    """One load run in all three qualities of service."""
    return [Scenario(f"go-{name}-q{qos}", "go", f"{arguments} --qos {qos}") for qos in (0, 1, 2)]


SCENARIOS = [
    bulk("pub-1-q0", "pub", 0.15, 6, quick=True),
    bulk("pub-1-q1-w100", "pub --qos 1 --window 100", 0.045, 11),
    # What the sockets of 1,000 publishers hold takes mosquitto longer than the generator waits otherwise.
    bulk("pub-1000-q0", "pub --publishers 1000 --timeout 60", 0.13, 7),
    bulk("pub-1000-q1-w1", "pub --publishers 1000 --qos 1 --window 1", 0.78, 1.2),
    bulk("fanin-q0", "fanin", 0.07, 15),
    bulk("fanin-q1-w1", "fanin --qos 1 --window 1", 0.48, 1.8),
    bulk("fanin-q1-w20", "fanin --qos 1 --window 20", 0.06, 17, quick=True),
    bulk("fanin-q2-w1", "fanin --qos 2 --window 1", 0.60, 1.6),
    bulk("fanout-q0", "fanout", 0.035, 30, quick=True),
    bulk("fanout-q1-w50", "fanout --qos 1 --window 50", 0.045, 29),
    bulk("pairs-q0", "pairs", 0.085, 11),
    bulk("pairs-q1-w10", "pairs --qos 1 --window 10", 0.12, 9, quick=True),
    bulk("pairs-q2-w10", "pairs --qos 2 --window 10", 0.11, 10),
    bulk("wild-q0", "wild", 0.30, 3.5),
    bulk("wild-q1-w20", "wild --qos 1 --window 20", 0.35, 2.5),
    bulk("shared-q0", "shared", 0.075, 12),
    bulk("shared-q1-w20", "shared --qos 1 --window 20", 0.08, 13),
    paced("paced-q0", "", quick=True),
    paced("paced-q1", "--qos 1"),
    # An outbox of 1 MiB and 5 MiB beside it.
    Scenario("slow-q0", "latency", "slow", (Goal("p99_ratio", 2.0), Goal("growth_mib", 6.0)), quick=True),
    # A flood that one subscriber cannot take: dropped for it alone, counted (but for what its outbox and socket hold in
    # the end), without a toll on publishers or on others.
    Scenario(
        "flood-q0",
        "latency",
        "slow --flood 10 --read-rate 100000 --publishers 100 --rate 1000",
        (
            Goal("growth_mib", 6.0),
            Goal("flood_ratio", 0.9, at_least=True),
            Goal("counted", 0.95, at_least=True),
            Goal("p99_ratio", 2.0),
        ),
    ),
    Scenario("slow-q1", "latency", "slow --qos 1", (Goal("p99_ratio", 2.0),)),
    Scenario("idle-bare", "memory", "idle --connections 19000", (Goal("bytes_each", 1000),), quick=True),
    Scenario("idle-subscribed", "memory", "idle --connections 19000 --subscribe", (Goal("bytes_each", 1400),)),
    Scenario(
        "idle-burst",
        "memory",
        "idle --connections 19000 --subscribe --burst-bytes 8192 --settle 5",
        (Goal("after_burst", 1500),),
    ),
    Scenario(
        "subscriptions-1000000",
        "memory",
        "subscribe --connections 1000 --filters 1000000",
        (Goal("bytes_each", 250), Goal("rate", 1.0, of=MOSQUITTO, at_least=True)),
    ),
    Scenario("retained-1000000", "memory", "retain --topics 1000000", (Goal("bytes_each", 250),)),
    Scenario(
        "connect",
        "connections",
        "connect --connections 19000 --handshakes 64",
        (
            Goal("rate", 0.95, of=MOSQUITTO, at_least=True),
            Goal("cpu", 0.9, of=MOSQUITTO, workers=1),
            Goal("cpu", 1.0, of=MOSQUITTO, workers=2),
        ),
        rounds=5,
    ),
    Scenario("churn", "connections", "churn --clients 64", rounds=5),
    *(grown_subscribers(count) for count in (1, 10, 100, 1_000, 10_000)),
    *(grown_filters(10**power) for power in range(2, 7)),
    Scenario("wild-1000-filters", "growth", "wild --filters 1000"),
    Scenario("wild-100000-filters", "growth", "wild --filters 100000", (Goal("cpu", 1.25, of="wild-1000-filters"),)),
    *go("1-publisher", "pub"),
    *go("1000-publishers", "pub --publishers 1000 --messages 1000"),
    *go("1-subscriber", "fanin --publishers 1000 --messages 1000"),
    # So few outstanding that they fit into the outbox of a subscriber, even where half of them have none to wait for.
    *(
        Scenario(
            f"large-q{qos}",
            "large",
            f"fanout --subscribers 100 --payload 65536 --outstanding 400 --qos {qos} --window 8",
            (Goal("cpu", 1.1, of=MOSQUITTO), Goal("user", 1.0, of=MOSQUITTO)),
            relay=True,
        )
        for qos in (0, 1)
    ),
]
