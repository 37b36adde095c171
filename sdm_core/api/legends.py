"""Legends of layers as JSON and SVG: title, unit, ramp with its stops, and what is not on the ramp."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from sdm_core.api.tiles import INKS, Layer, Paint
from sdm_core.colours import ramp_colours

_N_STOPS = 5
_WIDTH, _HEIGHT, _MARGIN = 260, 104, 12
_TEXT_INKS = {"light": ("#22282b", "#5b6469", "#ffffff"), "dark": ("#eef2f1", "#b4bfbf", "#161c1e")}


def _hex(colour: Any) -> str:
    return "#" + "".join(f"{int(part):02x}" for part in colour)


def label_of(layer: Layer, value: float) -> str:
    """A value as the legend writes it: probabilities in percent."""
    if layer.species_id is not None:
        return f"{100 * value:.3g}\u202f%"
    return f"{value:.3g}"


def legend(layer: Layer, paint: Paint) -> dict[str, Any]:
    """Content of `answers.LegendAnswer`."""
    scale = paint.scale
    colours = ramp_colours(paint.ramp)
    shares = np.linspace(0, 1, _N_STOPS)
    stops = []
    for share in shares.tolist():
        value = scale.low + share * (scale.high - scale.low)
        stops.append(
            {
                "value": round(value, 6),
                "label": label_of(layer, value),
                "colour": _hex(colours[round(share * 255)]),
            }
        )
    _, zero, below, undefined = INKS[paint.theme]
    other = {"no prediction": "#00000000", "not defined": _hex(undefined)}
    if paint.mask:
        other["outside the area of applicability (hatched)"] = _hex(undefined)
    if scale.cutoff > 0:
        other |= {"zero": _hex(zero), f"below {label_of(layer, scale.cutoff)}": _hex(below)}
    return {
        "layer": layer.name,
        "title": layer.title,
        "unit": layer.unit,
        "ramp": paint.ramp,
        "min": scale.low,
        "max": scale.high,
        "cutoff": scale.cutoff,
        "stops": stops,
        "other": other,
    }


def legend_svg(layer: Layer, paint: Paint) -> str:
    """The legend as a picture of 260 × 104 pixels."""
    content = legend(layer, paint)
    ink, muted, ground = _TEXT_INKS[paint.theme]
    title = html.escape(layer.title if len(layer.title) <= 36 else layer.title[:35] + "…")
    style = ' font-style="italic"' if layer.species_id is not None else ""
    wide = _WIDTH - 2 * _MARGIN
    gradient = "".join(
        f'<stop offset="{share:.3f}" stop-color="{_hex(colour)}"/>'
        for share, colour in zip(
            np.linspace(0, 1, 17), ramp_colours(paint.ramp)[np.linspace(0, 255, 17).astype(int)], strict=True
        )
    )
    ends = zip((0, 2, 4), ("start", "middle", "end"), (0.0, 0.5, 1.0), strict=True)
    labels = "".join(
        f'<text x="{_MARGIN + share * wide:.0f}" y="71" text-anchor="{anchor}" fill="{ink}">'
        f"{html.escape(content['stops'][stop]['label'])}</text>"
        for stop, anchor, share in ends
    )
    below = next((name for name in content["other"] if name.startswith("below")), "")
    keys, x = "", _MARGIN
    if below:
        keys += (
            f'<rect x="{x}" y="82" width="12" height="12" rx="2" fill="{content["other"][below][:7]}" '
            f'stroke="{muted}" stroke-width="0.5"/>'
            f'<text x="{x + 17}" y="92" fill="{muted}">{html.escape(below)}</text>'
        )
        x += 110
    keys += (
        f'<rect x="{x}" y="82" width="12" height="12" rx="2" fill="none" stroke="{muted}" '
        f'stroke-dasharray="2 2"/><text x="{x + 17}" y="92" fill="{muted}">no prediction</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="Source Sans 3, Liberation Sans, Arial, sans-serif" '
        f'font-size="11" role="img"><title>{title}, {html.escape(layer.unit)}</title>'
        f'<defs><linearGradient id="ramp">{gradient}</linearGradient></defs>'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="8" fill="{ground}"/>'
        f'<text x="{_MARGIN}" y="21" font-size="13" font-weight="600" fill="{ink}"{style}>{title}</text>'
        f'<text x="{_MARGIN}" y="37" fill="{muted}">{html.escape(layer.unit)}</text>'
        f'<rect x="{_MARGIN}" y="45" width="{wide}" height="12" rx="2" fill="url(#ramp)"/>'
        f"{labels}{keys}</svg>"
    )
