"""Blocks and arrows as SVG, in light and dark colours; it needs no browser to be drawn."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["data", "trained", "frozen", "loss"]

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 160, 62, 36, 30, 10
_THEME: Final = """<style>
svg{color:#1f2733;background:#fff;
font-family:system-ui,'Segoe UI',Roboto,Helvetica,Arial,sans-serif}
.data{fill:#eef1f5;stroke:#9aa7b5}.trained{fill:#e3effc;stroke:#2b7bd3}
.frozen{fill:#f1ecfa;stroke:#8a63c9;stroke-dasharray:5 3}.loss{fill:#fdeee4;stroke:#e0702f}
text{fill:currentColor;text-anchor:middle}.t{font-size:13px;font-weight:600}.s{font-size:11px}
path{fill:none;stroke:currentColor;stroke-opacity:.55;stroke-width:1.4}
@media (prefers-color-scheme:dark){svg{color:#dfe4ea;background:#1a1f27}
.data{fill:#262d37;stroke:#66727f}.trained{fill:#1b3350;stroke:#4d97e4}
.frozen{fill:#2f2744;stroke:#a182dc}.loss{fill:#40291c;stroke:#e8874e}}
</style>"""


@dataclass(frozen=True)
class Box:
    """One block.

    Attributes:
        place: column and row; halves are allowed.
        lines: below the title.
        kind: how it is coloured.
    """

    name: str
    place: tuple[float, float]
    title: str
    lines: tuple[str, ...] = ()
    kind: Kind = "trained"


def draw(boxes: Sequence[Box], edges: Sequence[tuple[str, str]]) -> str:
    """An SVG of blocks and arrows between them."""
    columns = max(b.place[0] for b in boxes) + 1
    rows = max(b.place[1] for b in boxes) + 1
    width = columns * (_WIDTH + _GAP_X) - _GAP_X + 2 * _MARGIN
    height = rows * (_HEIGHT + _GAP_Y) - _GAP_Y + 2 * _MARGIN
    corner = {b.name: _corner(b) for b in boxes}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img">{_THEME}',
        '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" style="fill:currentColor;'
        'stroke:none;fill-opacity:.6"/></marker></defs>',
        *(_arrow(corner[a], corner[b]) for a, b in edges),
        *(_block(b) for b in boxes),
        "</svg>",
    ]
    return "".join(parts)


def _corner(box: Box) -> tuple[float, float]:
    return (
        _MARGIN + box.place[0] * (_WIDTH + _GAP_X),
        _MARGIN + box.place[1] * (_HEIGHT + _GAP_Y),
    )


def _block(box: Box) -> str:
    x, y = _corner(box)
    step = 15
    first = y + _HEIGHT / 2 + 4.5 - step * len(box.lines) / 2
    out = [
        f'<rect class="{box.kind}" x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>'
    ]
    for i, line in enumerate((box.title, *box.lines)):
        kind = "s" if i else "t"
        out.append(
            f'<text class="{kind}" x="{x + _WIDTH / 2:g}" y="{first + step * i:g}">'
            f"{html.escape(line)}</text>"
        )
    return "".join(out)


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    """From side to side where the columns differ, else from edge to edge.

    One that passes a column leaves upwards or downwards, so that it crosses no block.
    """
    (x0, y0), (x1, y1) = start, end
    if abs(x1 - x0) < 1:
        x = x0 + _WIDTH / 2
        down = y1 > y0
        a, b = (y0 + _HEIGHT, y1) if down else (y0, y1 + _HEIGHT)
        return f'<path d="M{x:g} {a:g}V{b:g}" marker-end="url(#a)"/>'
    if y1 != y0 and abs(x1 - x0) > 1.5 * (_WIDTH + _GAP_X):
        y = y0 + (_HEIGHT if y1 > y0 else 0)
        middle = y1 + _HEIGHT / 2
        return f'<path d="M{x0 + _WIDTH / 2:g} {y:g}V{middle:g}H{x1:g}" marker-end="url(#a)"/>'
    ahead = x1 > x0
    a, b = (x0 + _WIDTH, x1) if ahead else (x0, x1 + _WIDTH)
    y_a, y_b = y0 + _HEIGHT / 2, y1 + _HEIGHT / 2
    turn = b - (_GAP_X / 2 if ahead else -_GAP_X / 2)
    return f'<path d="M{a:g} {y_a:g}H{turn:g}V{y_b:g}H{b:g}" marker-end="url(#a)"/>'
