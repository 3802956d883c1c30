"""Pictures of screens as files of a third of the size: the same picture without what is said twice."""

from __future__ import annotations

import re
from itertools import groupby
from typing import NamedTuple

_FONTS = re.compile(r"\s*@font-face \{.*?\}(?=\n)", re.DOTALL)
_LINE_CLIPS = re.compile(r'<clipPath id="terminal(?:-\d+)?-line-\d+">.*?</clipPath>\s*', re.DOTALL)
_CLIPPED = re.compile(r' clip-path="url\(#terminal(?:-\d+)?-line-\d+\)"')
_ONE_CELL = ' textLength="12.2"'
_CRISP = ' shape-rendering="crispEdges"'
_GROUNDS = re.compile(r'(?:<rect fill="#\w+" x="[\d.]+" y="[\d.]+" width="[\d.]+" height="24.65"/>)+')
_GROUND = re.compile(r'<rect fill="(#\w+)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="24.65"/>')


class _Ground(NamedTuple):
    fill: str
    x: float
    y: str
    width: float


def small(svg: str) -> str:
    """Return the picture of a screen without fonts from elsewhere and lines' clips, and with neighbours of one ground as one.

    What is small already stays as it is.
    """
    for superfluous in (_FONTS, _LINE_CLIPS, _CLIPPED):
        svg = superfluous.sub("", svg)
    if _CRISP in svg:
        svg = svg.replace("</style>", "rect { shape-rendering: crispEdges }\n    </style>", 1)
    svg = svg.replace(_CRISP, "").replace(_ONE_CELL, "").replace("&#160;", "\N{NO-BREAK SPACE}")
    return _GROUNDS.sub(_joined, svg)


def _joined(found: re.Match[str]) -> str:
    grounds = [_Ground(fill, float(x), y, float(width)) for fill, x, y, width in _GROUND.findall(found[0])]
    told = []
    for (fill, y), group in groupby(grounds, lambda one: (one.fill, one.y)):
        first, *others = group
        last = others[-1] if others else first
        width = round(last.x + last.width - first.x, 1)
        told.append(f'<rect fill="{fill}" x="{first.x:g}" y="{y}" width="{width:g}" height="24.65"/>')
    return "".join(told)
