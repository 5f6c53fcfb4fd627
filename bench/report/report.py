"""Results as Markdown with plots: medians with least and most, and goals with their verdicts."""

import json
import os
from pathlib import Path
from statistics import median

from figures import (
    NODE,
    RELAY,
    Judgement,
    Runs,
    Verdict,
    judge,
    judgements,
    with_workers,
)
from pictures import pictures
from scenarios import GROUPS, MOSQUITTO, Goal, Scenario

BEGIN, END = "<!-- results -->", "<!-- end of results -->"
SECOND_WORKER = Goal("cpu", 1.15)
# A generator that is busy for so large a share of a core may be what bounds the rate.
BUSY = 0.9

# Tables with a column for each broker: figure, and what it is.
MATRICES = {
    "table": {"cpu": "CPU of the broker in microseconds per message", "rate": "Messages per second"},
    "growth": {"cpu": "CPU of the broker in microseconds per delivery"},
    "go": {"cpu": "CPU of the broker in microseconds per message", "rate": "Messages per second"},
    "large": {
        "cpu": "CPU of the broker in microseconds per delivery",
        "user": "Of that, in user mode",
        "rate": "Deliveries per second",
    },
}

# Tables with a line for each broker: figures of each kind of scenario, and what they are.
LINES = {
    "load": {"p50": "p50 us", "p90": "p90 us", "p99": "p99 us", "p999": "p99.9 us", "cpu": "CPU us per message"},
    "slow": {
        "alone_p99": "p99 alone, us",
        "beside_p50": "p50 beside, us",
        "beside_p99": "p99 beside, us",
        "p99_ratio": "p99 beside / alone",
        "growth_mib": "memory grew by MiB",
        "flood_rate": "flood messages/s beside",
        "flood_ratio": "flood beside / alone",
        "not_delivered": "flood not delivered",
        "counted": "dropped / not delivered",
    },
    "idle": {
        "bytes_each": "B per connection",
        "after_burst": "B after a burst",
        "cpu": "CPU us per connection",
        "rate": "connections/s",
    },
    "connect": {
        "rate": "connections/s",
        "cpu": "CPU us each",
        "leave_rate": "disconnections/s",
        "leave_cpu": "CPU us each",
        "generator": "generator CPU us",
    },
    "churn": {
        "rate": "clients/s",
        "cpu": "CPU us each",
        "p50": "p50 us",
        "p99": "p99 us",
        "generator": "generator CPU us",
    },
    "subscribe": {
        "bytes_each": "B per subscription",
        "rate": "subscriptions/s",
        "cpu": "CPU us each",
        "generator": "generator CPU us",
    },
    "retain": {
        "bytes_each": "B per retained message",
        "rate": "messages/s",
        "cpu": "CPU us each",
        "generator": "generator CPU us",
    },
}

MEANINGS = {
    "table": "A message is a delivery, or a publish where nobody listens. `relay` is a stateless relay of the same "
    "bytes: what the machine needs for its sockets alone. † The generator was busy for nine tenths of its core or "
    "more: it, not the broker, may be what bounds this rate.",
    "latency": "Paced: from when a message was due to the read that brought it, so a broker that falls behind shows "
    "it. Beside subscribers that never read (`slow`): the same pairs alone, and then beside one that hears all. `flood`: "
    "beside 10 publishers of QoS 0 at full speed with nobody listening, and then into one subscriber that reads 100 kB/s.",
    "memory": "Resident bytes, counted page by page, over the number of connections, subscriptions or messages.",
    "connections": "`connect`: 19,000 connections come, then all go, 64 at once. `churn`: connect, subscribe, publish "
    "one message to oneself, disconnect; p50 and p99 are of all that.",
    "growth": "Subscribers: one publisher, QoS 0, 50 deliveries outstanding for each. Filters: two match each "
    "message, whose topic name is drawn at random.",
    "go": "One publisher; 1,000 publishers of 1,000 messages each; the same into one subscriber. 64 bytes.",
    "large": "64 KiB to each of 100 subscribers.",
}


def runs_of(results: dict, scenarios: list[Scenario]) -> Runs:
    """The runs of a result file."""
    return Runs(scenarios, results["runs"])


def write(results: dict, scenarios: list[Scenario], output: Path, into: Path | None) -> None:
    """results.json and report.md, this one also into a document that has room for it. The plots that it shows are drawn
    by `draw`."""
    scenarios = [it for it in scenarios if it.name in results["settings"]["scenarios"]]
    runs = runs_of(results, scenarios)
    head = {name: value for name, value in results.items() if name != "runs"}
    lines = ",\n".join(json.dumps(run) for run in results["runs"])
    (output / "results.json").write_text(f'{json.dumps(head, indent=1)[:-2]},\n "runs": [\n{lines}\n]}}\n')
    captions = {name: caption for name, (caption, _) in pictures(runs, scenarios).items()}
    report = body(results, runs, scenarios, captions, "")
    (output / "report.md").write_text("\n".join(["# Micro MQ beside its peers", "", *report, ""]))
    if into:
        there = os.path.relpath(output, into.parent)
        lines = [f"#{line}" if line.startswith("#") else line for line in body(results, runs, scenarios, captions, f"{there}/")]
        into.write_text(between_marks(into.read_text(), "\n".join(lines)))


def draw(results: dict, scenarios: list[Scenario], output: Path) -> None:
    """The plots, as SVG."""
    scenarios = [it for it in scenarios if it.name in results["settings"]["scenarios"]]
    for name, (_, picture) in pictures(runs_of(results, scenarios), scenarios).items():
        (output / f"{name}.svg").write_text(picture())


def between_marks(document: str, results: str) -> str:
    """The document with other results between its two marks."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"it lacks the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{results}\n\n{END}{after}"


def body(results: dict, runs: Runs, scenarios: list[Scenario], captions: dict[str, str], folder: str) -> list[str]:
    """The report below its title. `folder` is where the plots are, seen from the document."""
    lines = [*head(results, runs), *goal_sections(runs, scenarios)]
    for group, title in GROUPS.items():
        members = [it for it in scenarios if it.group == group]
        if not members:
            continue
        lines += [f"## {title}", "", MEANINGS[group], ""]
        for name, caption in captions.items():
            if name.split("-")[0] == group:
                lines += [f"![{caption}]({folder}{name}.svg)", ""]
        if group in MATRICES:
            lines += [line for name, what in MATRICES[group].items() for line in matrix(runs, members, name, what)]
        else:
            lines += line_tables(runs, members)
    lines += failures(runs)
    lines += ["## Command lines", "", "```text"]
    lines += [f"{it.name:<30} mqtt-bench {' '.join(it.command(results['settings']['seconds']))}" for it in scenarios]
    return [*lines, "```"]


def head(results: dict, runs: Runs) -> list[str]:
    """The machine, and how it was measured."""
    settings = results["settings"]
    rounds = sorted({max((run["round"] for run in runs.all if run["scenario"] == name), default=0)
                     for name in settings["scenarios"]})
    return [
        f"{results['date']}; {' to '.join(str(it) for it in dict.fromkeys((rounds[0], rounds[-1])))} interleaved "
        f"rounds, {results['minutes']:.0f} minutes; each run has a freshly started broker on loopback; timed runs of "
        f"{settings['seconds']:g} s, the first fifth not counted. Figures are medians (least to most). Ratios are the "
        "node's figure over mosquitto's in the same round, if nothing else is said.",
        "",
        *(f"- {name}: {value}" for name, value in results["machine"].items()),
        f"- settings of the node beyond its defaults: {', '.join(['node.workers', 'store.backend=memory', *settings['node']])}",
        f"- settings of mosquitto: {', '.join(settings['mosquitto'])}",
        "",
    ]


def goal_sections(runs: Runs, scenarios: list[Scenario]) -> list[str]:
    """Tables of goals, with each number of workers, and of what a second worker costs."""
    lines = tally(runs, scenarios)
    for workers in runs.workers():
        rows = [row for it in scenarios if it.group == "table" and (row := bulk_row(runs, it, workers))]
        if rows:
            lines += [f"## Goals of bulk load, {counted(workers, 'worker')}", ""]
            columns = ["CPU, x mosquitto", "at most", "", "rate, x mosquitto", "at least", "", "CPU of the relay"]
            lines += table(["scenario", *columns], rows)
    rows = [
        [it.name, cell(values), str(SECOND_WORKER), judge(SECOND_WORKER, median(values)).value]
        for it in scenarios
        if (values := runs.second_worker(it.name))
    ]
    if rows:
        meaning = (
            "CPU per message with two workers over that with one, divided by the same quotient of the relay with two "
            "threads and one."
        )
        lines += ["## A second worker", "", meaning, "", *table(["scenario", "quotient", "goal", ""], rows)]
    rows = [
        [it.scenario, str(workers), figure_name(it), value_cell(it), str(it.goal), it.verdict.value]
        for scenario in scenarios
        if scenario.group != "table"
        for workers in runs.workers()
        for it in judgements(runs, scenario, workers)
    ]
    if rows:
        lines += ["## Further goals", "", *table(["scenario", "workers", "figure", "value", "goal", ""], rows)]
    return lines


def tally(runs: Runs, scenarios: list[Scenario]) -> list[str]:
    """How many goals are met, with each number of workers."""
    lines = []
    for workers in runs.workers():
        verdicts = [judged.verdict for it in scenarios for judged in judgements(runs, it, workers)]
        counts = {it: verdicts.count(it) for it in Verdict if it in verdicts}
        if counts:
            said = ", ".join(f"{count} {it.value}" for it, count in counts.items())
            lines += [f"Of {counted(len(verdicts), 'goal')} of the node with {counted(workers, 'worker')}: {said}.", ""]
    return lines


def bulk_row(runs: Runs, scenario: Scenario, workers: int) -> list[str] | None:
    """CPU and rate of one scenario with their goals, and what the relay needs for the same."""
    judged = judgements(runs, scenario, workers)
    cells = [text for it in judged for text in (value_cell(it), str(it.goal).split()[1], it.verdict.value)]
    cells.append(cell(runs.ratios(scenario.name, with_workers(RELAY, workers), "cpu", MOSQUITTO)))
    return [scenario.name, *cells] if any(it.verdict is not Verdict.UNKNOWN for it in judged) else None


def figure_name(judged: Judgement) -> str:
    """What is bounded, in words."""
    name = {**LINES["slow"], "cpu": "CPU", "user": "user CPU", "rate": "rate", "bytes_each": "B each",
            "after_burst": "B each after a burst", "p50": "p50", "p99": "p99"}[judged.goal.figure]
    return f"{name}, x {judged.goal.of}" if judged.goal.of else name


def value_cell(judged: Judgement) -> str:
    """The value that is judged, and those of the rounds."""
    if judged.value is None:
        return "-"
    return of_rounds(judged.value, judged.rounds)


def matrix(runs: Runs, scenarios: list[Scenario], name: str, what: str) -> list[str]:
    """A figure of all brokers, each with a column."""
    brokers = [broker for broker in runs.brokers if any(runs.of(it.name, broker) for it in scenarios)]
    rows = [[it.name, *(broker_cell(runs, it, broker, name) for broker in brokers)] for it in scenarios]
    if name == "cpu":
        brokers = [*brokers, "generator"]
        for row, it in zip(rows, scenarios):
            node = with_workers(NODE, runs.workers()[0]) if runs.workers() else ""
            row.append(cell(runs.values(it.name, node, "generator")))
    return [f"**{what}**", "", *table(["scenario", *brokers], rows)]


def line_tables(runs: Runs, scenarios: list[Scenario]) -> list[str]:
    """Figures of all brokers, each with a line; a table for each kind of scenario."""
    lines: list[str] = []
    for kind, figures in LINES.items():
        rows = [
            [it.name, broker, *(broker_cell(runs, it, broker, name) for name in figures)]
            for it in scenarios
            if it.kind == kind
            for broker in runs.brokers
            if runs.of(it.name, broker)
        ]
        if rows:
            lines += table(["scenario", "broker", *figures.values()], rows)
    return lines


def broker_cell(runs: Runs, scenario: Scenario, broker: str, name: str) -> str:
    """A figure of one broker, or that it failed."""
    values = runs.values(scenario.name, broker, name)
    failed = [run for run in runs.failures(scenario.name, broker) if not run.get("skipped")]
    if not values:
        return "fails" if failed else "-"
    busy = runs.values(scenario.name, broker, "busy")
    mark = " †" if name == "rate" and busy and median(busy) >= BUSY else ""
    return cell(values) + mark + (f", fails in {counted(len(failed), 'round')}" if failed else "")


def failures(runs: Runs) -> list[str]:
    """Each broker's failures in each scenario, with what the first of them was."""
    lines = ["## Loss, duplicates, order, and other failures", ""]
    found = [
        (broker, scenario, failed)
        for broker in runs.brokers
        for scenario in runs.scenarios
        if (failed := [run for run in runs.failures(scenario, broker) if not run.get("skipped")])
    ]
    if not any(broker.startswith(f"{NODE}-") for broker, _, _ in found):
        lines += ["The node lost, duplicated or reordered no message in any run.", ""]
    for broker, scenario, failed in found:
        rounds = counted(len(runs.of(scenario, broker)), "round")
        after = " (then not run again)" if any(run.get("skipped") for run in runs.of(scenario, broker)) else ""
        lines.append(f"- {broker}, {scenario}: {len(failed)} of {rounds}{after}: {failed[0]['problem']}")
    return [*lines, ""]


def counted(count: int, what: str) -> str:
    """2 workers"""
    return f"{count} {what}{'' if count == 1 else 's'}"


def number(value: float) -> str:
    """With as many digits as say something."""
    size = abs(value)
    return f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3}f}"


def of_rounds(value: float, rounds: list[float]) -> str:
    """A value, and least and most of the rounds in brackets."""
    return f"{number(value)} ({number(min(rounds))} to {number(max(rounds))})"


def cell(values: list[float]) -> str:
    """Median, and least and most in brackets."""
    return of_rounds(median(values), values) if values else "-"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines] + [""]
