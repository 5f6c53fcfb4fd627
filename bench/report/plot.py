"""Plots as SVG: dots of several series in rows, curves over what grows, and panels of curves over time.

matplotlib is imported as something is drawn: what runs and judges does without it.
"""

import io
from dataclasses import dataclass, field
from statistics import median

WIDTH = 10.0
PALETTE = ["#2e933c", "#8e5ea2", "#c77d0a", "#00798c", "#7a5c3e"]
COLOURS = {
    "micro-mq-1": "#0b4f8a",
    "micro-mq-2": "#4aa3df",
    "mosquitto": "#d1495b",
    "relay-1": "#555555",
    "relay-2": "#aaaaaa",
}
CURVES = ["#1b6ca8", "#d1495b", *PALETTE]
GRID, BAND, REST = "#d8d8d8", "#f6f6f6", "#e9e9e9"
# Beyond so many decades an axis has no ticks between them.
DECADES_IN_FULL = 2.5

Points = list[tuple[float, float]]


@dataclass
class Dots:
    """A row: its name, the values of each series, and where its goal lies."""

    name: str
    values: dict[str, list[float]]
    goals: dict[str, float] = field(default_factory=dict)


@dataclass
class Panel:
    """A title, and curves by name; `marks` are single points."""

    title: str
    curves: dict[str, Points]
    marks: Points = field(default_factory=list)
    logarithmic: bool = False


def colours(names: list[str]) -> dict[str, str]:
    """A colour for each series, the same in all plots."""
    others = iter(PALETTE * len(names))
    return {name: COLOURS.get(name) or next(others) for name in names}


def label(value: float, _place: int = 0) -> str:
    """Short: 1200000 is 1.2M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def figure(title: str, height: float, panels: int = 1):
    """A figure of so many inches, and its panels."""
    import matplotlib

    matplotlib.use("svg")
    # The same figures give the same file, whose words can be searched.
    matplotlib.rcParams.update({
        "svg.fonttype": "none", "svg.hashsalt": "micro-mq", "font.size": 8, "axes.titlesize": 8,
        "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#888888",
    })
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(panels, 1, figsize=(WIDTH, height), layout="constrained", squeeze=False)
    drawn.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return drawn, [row[0] for row in axes]


def svg(drawn) -> str:
    """The file, of a figure that is done."""
    from matplotlib import pyplot

    file = io.StringIO()
    drawn.savefig(file, format="svg", metadata={"Date": None})
    pyplot.close(drawn)
    # matplotlib ends lines with spaces, which a checkout does not like.
    return "".join(line.rstrip() + "\n" for line in file.getvalue().splitlines())


def logarithmic(axis, values: list[float]) -> None:
    """A scale with room for all values, by whole decades or, where these are few, by 1, 2 and 5."""
    from math import log10

    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    values = [value for value in values if value > 0] or [1]
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    few = log10(max(values) / min(values)) < DECADES_IN_FULL
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=13))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(label))
    axis.set_minor_formatter(NullFormatter())
    getattr(axis.axes, f"set_{axis.axis_name}lim")(min(values) / 1.15, max(values) * 1.15)


def show_legend(axes, names: dict[str, str], goals: bool) -> None:
    """What the colours mean, above the plot."""
    from matplotlib.lines import Line2D

    shown = [Line2D([], [], color=colour, marker="o", linestyle="", label=name) for name, colour in names.items()]
    if goals:
        shown.append(Line2D([], [], color="black", marker="|", markersize=10, linestyle="", label="goal"))
    axes.legend(handles=shown, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(shown), frameon=False,
                borderaxespad=0.2, handletextpad=0.3)


def dot_plot(title: str, rows: list[Dots]) -> str:
    """A line of dots for each row: medians, with thin lines from least to most; a stroke is a goal."""
    names = colours(list(dict.fromkeys(name for row in rows for name in row.values)))
    everything = [value for row in rows for values in row.values.values() for value in values]
    drawn, (axes,) = figure(title, 1.1 + 0.27 * len(rows))
    logarithmic(axes.xaxis, everything + [goal for row in rows for goal in row.goals.values()])
    for place, row in enumerate(rows):
        if place % 2 == 0:
            axes.axhspan(place - 0.5, place + 0.5, color=BAND, zorder=0)
        for name, goal in row.goals.items():
            axes.plot([goal], [place], "|", color=names.get(name, "black"), markersize=14, markeredgewidth=1.6)
        for name, values in row.values.items():
            if values:
                axes.hlines(place, min(values), max(values), color=names[name], alpha=0.6)
                axes.plot([median(values)], [place], "o", color=names[name], alpha=0.85, markersize=6)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    show_legend(axes, names, any(row.goals for row in rows))
    return svg(drawn)


def curve_plot(title: str, curves: dict[str, dict[float, list[float]]], across: str) -> str:
    """A curve of medians for each series, with thin lines from least to most, both axes logarithmic."""
    names = colours(list(curves))
    places = sorted({place for curve in curves.values() for place in curve})
    drawn, (axes,) = figure(title, 4.2)
    logarithmic(axes.yaxis, [value for curve in curves.values() for found in curve.values() for value in found])
    logarithmic(axes.xaxis, places)
    axes.set_xticks(places)
    axes.set_xlabel(across, color="#555555")
    for name, curve in curves.items():
        points = [(place, found) for place, found in sorted(curve.items()) if found]
        for place, found in points:
            axes.vlines(place, min(found), max(found), color=names[name], alpha=0.6)
        axes.plot([place for place, _ in points], [median(found) for _, found in points], "o-", color=names[name],
                  markersize=5, linewidth=1.4)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    show_legend(axes, names, goals=False)
    return svg(drawn)


def time_plot(title: str, panels: list[Panel], shaded: list[tuple[float, float]], minutes: float) -> str:
    """Panels one below the other. `shaded` are spans of time, in minutes as all times."""
    from matplotlib.ticker import FuncFormatter

    drawn, rows = figure(title, 0.5 + 1.75 * len(panels), len(panels))
    for axes, panel in zip(rows, panels):
        axes.set_title(panel.title, loc="left", fontweight="bold")
        for start, end in shaded:
            axes.axvspan(start, end, color=REST, linewidth=0, zorder=0)
        for (name, points), colour in zip(panel.curves.items(), CURVES):
            axes.plot([at for at, _ in points], [value for _, value in points], color=colour, linewidth=1, label=name)
        axes.plot([at for at, _ in panel.marks], [value for _, value in panel.marks], "o", color=CURVES[1], markersize=4)
        values = [value for points in (*panel.curves.values(), panel.marks) for _, value in points]
        if panel.logarithmic:
            logarithmic(axes.yaxis, values)
        else:
            axes.set_ylim(0, 1.08 * max([*values, 0]) or 1)
            axes.yaxis.set_major_formatter(FuncFormatter(label))
        axes.set_xlim(0, minutes)
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=max(1, len(panel.curves)), frameon=False,
                    borderaxespad=0.2, handlelength=1.2)
    rows[-1].set_xlabel("minutes", color="#555555")
    return svg(drawn)
