"""The curves of growth as one SVG, which needs nothing but a browser."""

import math
from collections.abc import Sequence

from msgspec import Struct

WIDTH, HEIGHT = 860, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 190, 40, 50
_COLOURS = ("#1b6ca8", "#c2571a", "#3a7d44", "#7a4fa3")
_FONT = 'font-family="sans-serif" font-size="12"'
_DECADES = 7


class Curve(Struct, frozen=True):
    """What a call costs, in microseconds, at each size."""

    name: str
    points: Sequence[tuple[int, float]]


def plotted(curves: Sequence[Curve]) -> str:
    """Sizes along a logarithmic axis, of which 0 is the left end; costs up a plain one, from nothing."""
    most = max((cost for curve in curves for _, cost in curve.points), default=1.0) * 1.15
    lines = [_line(place, curve, most) for place, curve in enumerate(curves)]
    return "\n".join([_HEAD, *_grid(most), *lines, "</svg>"]) + "\n"


def _grid(most: float) -> list[str]:
    under = f'y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" {_FONT}'
    sizes = [10**decade for decade in range(_DECADES + 1)]
    across = [f'<text x="{_x(size):.0f}" {under}>{_short(size)}</text>' for size in sizes]
    step = _step(most)
    up = [
        f'<path d="M{LEFT} {_y(cost, most):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
        f'<text x="{LEFT - 8}" y="{_y(cost, most) + 4:.1f}" text-anchor="end" {_FONT}>{cost:g}</text>'
        for cost in (step * number for number in range(int(most / step) + 1))
    ]
    axis = f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="#444"/>'
    below = f'<text x="{LEFT}" y="{HEIGHT - 12}" {_FONT}>how many there are (logarithmic; 0 stands at the left)</text>'
    title = f'<text x="{LEFT}" y="22" {_FONT} font-weight="bold">CPU of a call, in µs</text>'
    return [*up, *across, axis, below, title]


def _line(place: int, curve: Curve, most: float) -> str:
    colour = _COLOURS[place % len(_COLOURS)]
    spots = [(_x(size), _y(cost, most)) for size, cost in curve.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in spots)
    legend = TOP + 14 + place * 22
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'
        f'<circle cx="{WIDTH - RIGHT + 24}" cy="{legend - 4}" r="5" fill="{colour}"/>'
        f'<text x="{WIDTH - RIGHT + 36}" y="{legend}" {_FONT}>{curve.name}</text>'
    )


def _x(size: float) -> float:
    return LEFT + math.log10(max(size, 1)) / _DECADES * (WIDTH - LEFT - RIGHT)


def _y(cost: float, most: float) -> float:
    return HEIGHT - BOTTOM - cost / most * (HEIGHT - TOP - BOTTOM)


def _step(most: float) -> float:
    """A round number of which four to ten fit."""
    size: float = 10 ** math.floor(math.log10(most))
    return next(size * part for part in (1, 0.5, 0.2, 0.1) if most / (size * part) >= 4)


def _short(number: int) -> str:
    return f"{number // 1_000_000} M" if number >= 1_000_000 else f"{number:,}"


_HEAD = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    f'<title>CPU of a call as keys, models, entries and streams grow</title><rect width="{WIDTH}" height="{HEIGHT}" '
    'fill="#fff"/>'
)
