"""Plots as SVG without libraries: dots of several series in rows on a logarithmic axis, and curves on two of them."""

import math
from dataclasses import dataclass, field
from html import escape
from statistics import median

WIDTH, LEFT, RIGHT, TOP, ROW, PANEL = 1000, 250, 30, 64, 26, 300
PALETTE = ["#2e933c", "#8e5ea2", "#c77d0a", "#00798c", "#7a5c3e"]
COLOURS = {
    "micro-mq-1": "#0b4f8a",
    "micro-mq-2": "#4aa3df",
    "mosquitto": "#d1495b",
    "relay-1": "#555555",
    "relay-2": "#aaaaaa",
}


@dataclass
class Dots:
    """A row: its name, the values of each series, and where its goal lies."""

    name: str
    values: dict[str, list[float]]
    goals: dict[str, float] = field(default_factory=dict)


def colours(names: list[str]) -> dict[str, str]:
    """A colour for each series, the same in all plots."""
    others = iter(PALETTE * len(names))
    return {name: COLOURS.get(name) or next(others) for name in names}


def label(value: float) -> str:
    """Short: 1200000 is 1.2M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


class Scale:
    """A logarithmic scale from `start` to `end`, by whole decades or, where these are few, by 1, 2 and 5."""

    def __init__(self, values: list[float], start: float, end: float):
        values = [value for value in values if value > 0] or [1]
        steps = [factor * 10.0**power for power in range(-6, 13) for factor in (1, 2, 5)]
        low = max(step for step in steps if step <= min(values))
        high = min(step for step in steps if step >= max(values) and step > low)
        self.ticks = [step for step in steps if low <= step <= high]
        if len(self.ticks) > 13:
            decades = [10.0**power for power in range(-6, 13)]
            self.ticks = [step for step in decades if low <= step <= high]
        self.low, self.high, self.start, self.end = math.log10(low), math.log10(high), start, end

    def __call__(self, value: float) -> float:
        share = (math.log10(max(value, 1e-9)) - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0), 1) * (self.end - self.start)


def opening(title: str, height: float) -> list[str]:
    """The first lines of a picture."""
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:g}" '
        f'viewBox="0 0 {WIDTH} {height:g}" font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height:g}" fill="white"/>',
        f'<text x="14" y="20" font-size="14" font-weight="bold">{escape(title)}</text>',
    ]


def legend(names: dict[str, str], goals: bool) -> list[str]:
    """What the colours mean."""
    lines, at = [], 14.0
    for name, colour in names.items():
        lines.append(f'<circle cx="{at + 5:g}" cy="36" r="4.5" fill="{colour}"/>')
        lines.append(f'<text x="{at + 14:g}" y="40">{escape(name)}</text>')
        at += 30 + 7.2 * len(name)
    if goals:
        lines.append(f'<path d="M{at + 5:g} 29 v14" stroke="#000" stroke-width="2"/>')
        lines.append(f'<text x="{at + 12:g}" y="40">goal</text>')
    return lines


def dot_plot(title: str, rows: list[Dots]) -> str:
    """A line of dots for each row: medians, with thin lines from least to most; a stroke is a goal."""
    names = colours(list(dict.fromkeys(name for row in rows for name in row.values)))
    everything = [value for row in rows for values in row.values.values() for value in values]
    across = Scale(everything + [goal for row in rows for goal in row.goals.values()], LEFT, WIDTH - RIGHT)
    height = TOP + len(rows) * ROW + 30
    lines = opening(title, height) + legend(names, any(row.goals for row in rows))
    for tick in across.ticks:
        lines.append(f'<line x1="{across(tick):.1f}" x2="{across(tick):.1f}" y1="{TOP - 8}" y2="{height - 26:g}" '
                     'stroke="#d8d8d8" stroke-width="0.7"/>')
        lines.append(f'<text x="{across(tick):.1f}" y="{height - 12:g}" text-anchor="middle">{label(tick)}</text>')
    for number, row in enumerate(rows):
        middle = TOP + number * ROW + ROW / 2 - 4
        if number % 2 == 0:
            lines.insert(3, f'<rect x="0" y="{middle - ROW / 2:.1f}" width="{WIDTH}" height="{ROW}" fill="#f6f6f6"/>')
        lines.append(f'<text x="{LEFT - 12}" y="{middle + 4:.1f}" text-anchor="end">{escape(row.name)}</text>')
        for name, goal in row.goals.items():
            lines.append(f'<path d="M{across(goal):.1f} {middle - 9:.1f} v18" stroke="{names.get(name, "#000")}" '
                         'stroke-width="2"/>')
        for name, values in row.values.items():
            if values:
                lines.append(f'<line x1="{across(min(values)):.1f}" x2="{across(max(values)):.1f}" y1="{middle:.1f}" '
                             f'y2="{middle:.1f}" stroke="{names[name]}" stroke-width="1.6" stroke-opacity="0.6"/>')
                lines.append(f'<circle cx="{across(median(values)):.1f}" cy="{middle:.1f}" r="4.5" '
                             f'fill="{names[name]}" fill-opacity="0.85"/>')
    return "\n".join([*lines, "</svg>", ""])


def curve_plot(title: str, curves: dict[str, dict[float, list[float]]], across_title: str) -> str:
    """A curve of medians for each series, with thin lines from least to most, both axes logarithmic."""
    names = colours(list(curves))
    places = [place for curve in curves.values() for place in curve]
    values = [value for curve in curves.values() for found in curve.values() for value in found]
    bottom = TOP + PANEL
    across = Scale(places, 70, WIDTH - RIGHT)
    up = Scale(values, bottom, TOP)
    lines = opening(title, bottom + 46) + legend(names, goals=False)
    for tick in up.ticks:
        lines.append(f'<line x1="70" x2="{WIDTH - RIGHT}" y1="{up(tick):.1f}" y2="{up(tick):.1f}" stroke="#d8d8d8" '
                     'stroke-width="0.7"/>')
        lines.append(f'<text x="62" y="{up(tick) + 4:.1f}" text-anchor="end">{label(tick)}</text>')
    for place in sorted(set(places)):
        lines.append(f'<text x="{across(place):.1f}" y="{bottom + 18}" text-anchor="middle">{label(place)}</text>')
    lines.append(f'<text x="{(70 + WIDTH - RIGHT) / 2:g}" y="{bottom + 36}" text-anchor="middle" fill="#555">'
                 f"{escape(across_title)}</text>")
    for name, curve in curves.items():
        points = [(across(place), found) for place, found in sorted(curve.items()) if found]
        path = " ".join(f"{at:.1f},{up(median(found)):.1f}" for at, found in points)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{names[name]}" stroke-width="1.8"/>')
        for at, found in points:
            lines.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{up(min(found)):.1f}" y2="{up(max(found)):.1f}" '
                         f'stroke="{names[name]}" stroke-width="1.6" stroke-opacity="0.6"/>')
            lines.append(f'<circle cx="{at:.1f}" cy="{up(median(found)):.1f}" r="4" fill="{names[name]}"/>')
    return "\n".join([*lines, "</svg>", ""])
