"""Which plots a report has. A plot's name begins with the group of scenarios that it belongs to."""

from collections.abc import Callable
from functools import partial
from statistics import median

from figures import NODE, Runs, with_workers
from plot import Dots, curve_plot, dot_plot
from scenarios import MOSQUITTO, Scenario

# Name of the plot, figure, title.
DOTS = (
    ("table-cpu", "cpu", "CPU of the broker, microseconds per message (less is better)"),
    ("table-rate", "rate", "Messages per second (more is better)"),
    ("latency-p50", "p50", "Median latency at 10,000 messages per second, microseconds"),
    ("latency-p99", "p99", "99th percentile of latency at 10,000 messages per second, microseconds"),
    ("memory-bytes", "bytes_each", "Resident bytes for each connection, subscription or retained message"),
    ("connections-rate", "rate", "Connections per second (more is better)"),
    ("go-rate", "rate", "Load runs of the Go project's benchmark: messages per second (more is better)"),
    ("large-cpu", "cpu", "64 KiB to each of 100 subscribers: CPU of the broker, microseconds per delivery"),
)
CURVES = (
    ("growth-subscribers", "subscribers-", "CPU per delivery, microseconds", "subscribers"),
    ("growth-filters", "filters-", "CPU per delivery, microseconds", "filters"),
)


def pictures(runs: Runs, scenarios: list[Scenario]) -> dict[str, tuple[str, Callable[[], str]]]:
    """Of each plot that there are figures for its title, and what draws it as SVG."""
    found = {}
    for name, figure, title in DOTS:
        group = name.split("-")[0]
        rows = [row(runs, scenario, figure) for scenario in scenarios if scenario.group == group]
        rows = [it for it in rows if any(it.values.values())]
        if rows:
            found[name] = (title, partial(dot_plot, title, rows))
    for name, prefix, title, across in CURVES:
        members = [it for it in scenarios if it.name.startswith(prefix)]
        curves = {
            broker: curve
            for broker in runs.brokers
            if (curve := {size(it): values for it in members if (values := runs.values(it.name, broker, "cpu"))})
        }
        if curves:
            found[name] = (title, partial(curve_plot, title, curves, across))
    return found


def size(scenario: Scenario) -> float:
    """The number at the end of a scenario's name."""
    return float(scenario.name.rpartition("-")[2])


def row(runs: Runs, scenario: Scenario, figure: str) -> Dots:
    """The figures of all brokers; the goal of the node with one worker, where it is one of this figure."""
    values = {broker: found for broker in runs.brokers if (found := runs.values(scenario.name, broker, figure))}
    goals = {}
    for goal in scenario.goals:
        if goal.figure == figure and goal.of in ("", MOSQUITTO) and goal.workers in (0, 1):
            theirs = values.get(MOSQUITTO)
            if not goal.of or theirs:
                goals[""] = goal.bound * (median(theirs) if goal.of else 1)
    return Dots(scenario.name, values, goals)
