"""Results as Markdown: medians with least and most, and the ratios of the interleaved rounds."""

from statistics import median

from bench_scenarios import Scenario

NODE, PEER = "micro-mq", "mosquitto"
MEBIBYTE = 2**20

# Figures of one result, by the kind of its scenario. None where a run has no such figure.
FIGURES = {
    "load": {
        "cpu": lambda result: result["load"]["broker"]["cpu"]["us_each"],
        "user": lambda result: result["load"]["broker"]["cpu"]["user_us_each"],
        "rate": lambda result: result["load"]["messages_per_second"],
        "p50": lambda result: (result["load"]["latency_us"] or {}).get("p50"),
        "p99": lambda result: (result["load"]["latency_us"] or {}).get("p99"),
        "generator": lambda result: result["load"]["generator"]["us_each"],
    },
    "slow": {
        "alone": lambda result: result["slow"]["alone_us"]["p99"],
        "beside_p50": lambda result: result["slow"]["beside_us"]["p50"],
        "beside": lambda result: result["slow"]["beside_us"]["p99"],
        "p99_ratio": lambda result: result["slow"]["p99_ratio"],
        "growth_mib": lambda result: result["slow"]["resident_growth"] / MEBIBYTE,
    },
    "idle": {
        "bytes_each": lambda result: result["idle"]["resident_bytes_per_connection"],
        "cpu": lambda result: result["idle"]["broker"]["us_each"],
        "rate": lambda result: result["idle"]["connects_per_second"],
    },
}


class Figures:
    """The figures of one scenario over all clean rounds of both brokers."""

    def __init__(self, scenario: Scenario, runs: list[dict]):
        self.kind = scenario.kind
        self.by_broker = {
            name: {run["round"]: run["result"] for run in runs if run["broker"] == name and run["clean"]}
            for name in (NODE, PEER)
        }

    def values(self, broker: str, figure: str) -> list[float]:
        """One value for each clean round."""
        read = FIGURES[self.kind][figure]
        return [value for result in self.by_broker[broker].values() if (value := read(result)) is not None]

    def ratios(self, figure: str) -> list[float]:
        """The node's figure over mosquitto's, for each round that both ended clean."""
        read = FIGURES[self.kind][figure]
        node, peer = self.by_broker[NODE], self.by_broker[PEER]
        pairs = [(read(node[number]), read(peer[number])) for number in node.keys() & peer.keys()]
        return [ours / theirs for ours, theirs in pairs if ours is not None and theirs]

    def figure(self, name: str) -> list[float]:
        """The values that a goal of this name bounds."""
        return self.ratios("cpu") if name == "cpu_ratio" else self.values(NODE, name)


def cell(values: list[float], digits: int = 2) -> str:
    """Median, and least and most in brackets."""
    if not values:
        return "-"
    shown = [f"{value:,.{digits}f}" for value in (median(values), min(values), max(values))]
    return f"{shown[0]} ({shown[1]} to {shown[2]})"


def goals(scenario: Scenario, figures: Figures) -> str:
    """Each goal with whether the median holds it."""
    judged = []
    for name, bound in scenario.goals.items():
        values = figures.figure(name)
        verdict = "no figure" if not values else "held" if median(values) <= bound else "MISSED"
        judged.append(f"{name.replace('_', ' ')} <= {bound:g}: {verdict}")
    return ", ".join(judged)


def load_row(figures: Figures) -> list[str]:
    """A line of the table of bulk and paced runs."""
    return [
        cell(figures.values(NODE, "cpu")),
        cell(figures.values(NODE, "user")),
        cell(figures.values(PEER, "cpu")),
        cell(figures.ratios("cpu"), 3),
        cell(figures.values(NODE, "rate"), 0),
        cell(figures.values(PEER, "rate"), 0),
        cell(figures.ratios("rate")),
        cell(figures.values(NODE, "generator")),
    ]


def latency_row(figures: Figures) -> list[str]:
    """A line of the table of latencies."""
    return [
        cell(figures.values(broker, figure), 0) for figure in ("p50", "p99") for broker in (NODE, PEER)
    ] + [cell(figures.ratios("p99"))]


def slow_rows(figures: Figures) -> list[str]:
    """The figures of one broker after the other."""
    columns = (("alone", 0), ("beside_p50", 0), ("beside", 0), ("p99_ratio", 2), ("growth_mib", 1))
    return [cell(figures.values(broker, figure), digits) for broker in (NODE, PEER) for figure, digits in columns]


def idle_row(figures: Figures) -> list[str]:
    """A line of the table of idle connections."""
    columns = (("bytes_each", 0), ("cpu", 1), ("rate", 0))
    return [cell(figures.values(broker, figure), digits) for figure, digits in columns for broker in (NODE, PEER)]


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines] + [""]


TABLES = {
    "load": (
        "CPU and rate",
        "A message is a delivery, or a publish where nobody listens. CPU is the broker's, user and system, in "
        "microseconds per message; the generator's own is in the last column.",
        ["node CPU", "of that, user", "mosquitto CPU", "ratio", "node messages/s", "mosquitto messages/s", "ratio"]
        + ["generator CPU"],
        load_row,
    ),
    "latency": (
        "Latency",
        "Microseconds from when a message was due (paced) or written (bulk, where it shows the queue of the load "
        "itself) to the read that brought it.",
        ["node p50", "mosquitto p50", "node p99", "mosquitto p99", "ratio of p99"],
        latency_row,
    ),
    "slow": (
        "Subscribers that never read",
        "Latency of paced pairs in microseconds, alone and beside one subscriber that hears every message and never "
        "reads; growth is the broker's resident memory in MiB.",
        [f"{broker} {figure}" for broker in ("node", "mosquitto")
         for figure in ("p99 alone", "p50 beside", "p99 beside", "p99 ratio", "growth")],
        slow_rows,
    ),
    "idle": (
        "Idle connections",
        "Resident bytes and CPU microseconds per connection; connections/s with 64 handshakes at once.",
        [f"{broker} {figure}" for figure in ("B each", "CPU each", "connections/s") for broker in ("node", "mosquitto")],
        idle_row,
    ),
}


def markdown(results: dict, scenarios: list[Scenario]) -> str:
    """The whole report."""
    settings = results["settings"]
    lines = [
        "# Micro MQ beside mosquitto",
        "",
        f"{settings['rounds']} interleaved rounds; each run has a freshly started broker; bulk runs of "
        f"{settings['seconds']:g} s, the first fifth not counted. Figures are medians (least to most); ratios are "
        "the node's figure over mosquitto's in the same round.",
        "",
        *(f"- {name}: {value}" for name, value in results["machine"].items()),
        f"- settings of the node beyond its defaults: {', '.join(settings['node']) or 'none'}",
        f"- settings of mosquitto: {', '.join(settings['mosquitto'])}",
        f"- it all took {results['minutes']:.1f} minutes",
        "",
    ]
    figures = [
        (scenario, Figures(scenario, [run for run in results["runs"] if run["scenario"] == scenario.name]))
        for scenario in scenarios
    ]
    for kind, (title, meaning, head, row) in TABLES.items():
        of_kind = [(scenario, it) for scenario, it in figures if scenario.kind == ("load" if kind == "latency" else kind)]
        if kind == "latency":
            of_kind = [(scenario, it) for scenario, it in of_kind if it.values(NODE, "p50") or it.values(PEER, "p50")]
        if of_kind:
            lines += [f"## {title}", "", meaning, ""]
            lines += table(["scenario", *head], [[scenario.name, *row(it)] for scenario, it in of_kind])
    judged = [(scenario.name, goals(scenario, it)) for scenario, it in figures if scenario.goals]
    if judged:
        lines += ["## Goals", "", *(f"- {name}: {verdict}" for name, verdict in judged), ""]
    unclean = [run for run in results["runs"] if not run["clean"]]
    lines += ["## Loss, duplicates, order", ""]
    if unclean:
        lines += [f"- round {run['round']}, {run['scenario']}, {run['broker']}: {run['problem']}" for run in unclean]
    else:
        lines += ["No message was lost, duplicated or out of order in any run."]
    lines += ["", "## Command lines", "", "```text"]
    lines += [f"{scenario.name:<22} mqtt-bench {' '.join(scenario.command(settings['seconds']))}" for scenario in scenarios]
    return "\n".join([*lines, "```", ""])
