"""Curves over time as SVG, one panel below the other."""

import math
from dataclasses import dataclass, field
from html import escape

WIDTH, PANEL, GAP = 1000, 130, 46
LEFT, RIGHT, TOP = 70, 20, 40
COLOURS = ["#1b6ca8", "#d1495b", "#2e933c", "#8e5ea2", "#c77d0a"]
POINTS_MAX = 700

Points = list[tuple[float, float]]


@dataclass
class Panel:
    """A title, and curves by name; `marks` are single points."""

    title: str
    curves: dict[str, Points]
    marks: Points = field(default_factory=list)
    logarithmic: bool = False


def nice_step(span: float, steps: int) -> float:
    """1, 2 or 5 times a power of ten, so that the span has about so many steps."""
    rough = max(span, 1e-9) / steps
    power = 10 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)


def label(value: float) -> str:
    """Short: 1200000 is 1.2M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def thinned(points: Points) -> Points:
    """At most so many points as one can see."""
    step = max(1, len(points) // POINTS_MAX)
    return points[::step] + ([points[-1]] if points and (len(points) - 1) % step else [])


class Scale:
    """Values of one panel to heights."""

    def __init__(self, panel: Panel, top: float):
        values = [value for points in (*panel.curves.values(), panel.marks) for _, value in points]
        if panel.logarithmic:
            values = [value for value in values if value > 0] or [1]
            self.low, self.high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
            self.high = max(self.high, self.low + 1)
            self.ticks = [10.0**power for power in range(self.low, self.high + 1)]
        else:
            step = nice_step(max(values, default=1), 4)
            self.low, self.high = 0, max(1, math.ceil(max(values, default=1) / step)) * step
            self.ticks = [step * number for number in range(round(self.high / step) + 1)]
        self.logarithmic, self.top = panel.logarithmic, top

    def __call__(self, value: float) -> float:
        if self.logarithmic:
            value = max(self.low, math.log10(value) if value > 0 else self.low)
        return self.top + PANEL - (value - self.low) / (self.high - self.low) * PANEL


def svg(title: str, panels: list[Panel], shaded: list[tuple[float, float]], minutes: float) -> str:
    """The picture. `shaded` are spans of time, in minutes as all times."""
    height = TOP + len(panels) * (PANEL + GAP)
    across = lambda minute: LEFT + minute / minutes * (WIDTH - LEFT - RIGHT)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14" font-weight="bold">{escape(title)}</text>',
    ]
    step = nice_step(minutes, 12)
    for number, panel in enumerate(panels):
        top = TOP + 18 + number * (PANEL + GAP)
        scale = Scale(panel, top)
        for start, end in shaded:
            lines.append(f'<rect x="{across(start):.1f}" y="{top}" width="{across(end) - across(start):.1f}" '
                         f'height="{PANEL}" fill="#e9e9e9"/>')
        for tick in scale.ticks:
            lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{scale(tick):.1f}" y2="{scale(tick):.1f}" '
                         'stroke="#d0d0d0" stroke-width="0.6"/>')
            lines.append(f'<text x="{LEFT - 6}" y="{scale(tick) + 4:.1f}" text-anchor="end">{label(tick)}</text>')
        minute = 0.0
        while minute <= minutes * 1.0001:
            lines.append(f'<text x="{across(minute):.1f}" y="{top + PANEL + 14}" text-anchor="middle" '
                         f'fill="#555">{minute:g}</text>')
            minute += step
        lines.append(f'<text x="{LEFT}" y="{top - 6}" font-weight="bold">{escape(panel.title)}</text>')
        legend = WIDTH - RIGHT
        for place, (name, points) in reversed(list(enumerate(panel.curves.items()))):
            colour = COLOURS[place % len(COLOURS)]
            lines.append(f'<text x="{legend}" y="{top - 6}" text-anchor="end" fill="{colour}">{escape(name)}</text>')
            legend -= 7 * len(name) + 14
            path = " ".join(f"{across(at):.1f},{scale(value):.1f}" for at, value in thinned(points))
            lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.2"/>')
        for at, value in panel.marks:
            lines.append(f'<circle cx="{across(at):.1f}" cy="{scale(value):.1f}" r="3" fill="{COLOURS[1]}"/>')
    return "\n".join([*lines, "</svg>", ""])
