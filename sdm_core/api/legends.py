"""Legends of layers as JSON and SVG: title, unit, ramp with its stops, and what is not on the ramp."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from sdm_core.api.tiles import INKS, Layer, Paint
from sdm_core.colours import Categories, is_share, ramp_colours

_N_STOPS = 5
_WIDTH, _HEIGHT, _MARGIN, _LINE = 260, 104, 12, 18
#: Letters of the line below the title that fit into the picture.
_MOST_LETTERS = 46
_TEXT_INKS = {"light": ("#22282b", "#5b6469", "#ffffff"), "dark": ("#eef2f1", "#b4bfbf", "#161c1e")}


def _hex(colour: Any) -> str:
    return "#" + "".join(f"{int(part):02x}" for part in colour)


def label_of(layer: Layer, value: float) -> str:
    """A value as the legend writes it: probabilities and shares in percent."""
    if layer.species_id is not None:
        return f"{100 * value:.3g}\u202f%"
    if is_share(layer.name):
        return f"{100 * value:.3g}\u202f%"
    return f"{value:.3g}".replace("-", "−")


def legend(layer: Layer, paint: Paint) -> dict[str, Any]:
    """Content of `answers.LegendAnswer`."""
    scale = paint.scale
    if scale.categories is not None:
        return _legend_of_categories(layer, paint, scale.categories)
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
    _, zero, below, _ = INKS[paint.theme]
    other = _beside_colours(paint)
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


def _beside_colours(paint: Paint) -> dict[str, str]:
    """What may be seen beside the colours of values."""
    undefined = _hex(INKS[paint.theme][3])
    other = {"no prediction": "#00000000", "not defined": undefined}
    if paint.mask:
        other["outside the area of applicability (hatched)"] = undefined
    return other


def _legend_of_categories(layer: Layer, paint: Paint, categories: Categories) -> dict[str, Any]:
    """One stop for each number that tiles may show, with its category."""
    stops = [
        {
            "value": float(number),
            "label": categories.text(number),
            "colour": _hex(categories.colours[place]),
        }
        for number, place in enumerate(categories.places)
    ]
    return {
        "layer": layer.name,
        "title": layer.title,
        "unit": layer.unit,
        "ramp": paint.ramp,
        "min": 0.0,
        "max": float(len(categories.places) - 1),
        "cutoff": 0.0,
        "stops": stops,
        "other": _beside_colours(paint),
    }


def legend_svg(layer: Layer, paint: Paint) -> str:
    """The legend as a picture of 260 × 104 pixels, higher where there are many categories."""
    if paint.scale.categories is not None:
        return _categories_svg(layer, paint, paint.scale.categories)
    content = legend(layer, paint)
    ink, muted, _ = _TEXT_INKS[paint.theme]
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
    body = (
        f'<defs><linearGradient id="ramp">{gradient}</linearGradient></defs>'
        f'<rect x="{_MARGIN}" y="45" width="{wide}" height="12" rx="2" fill="url(#ramp)"/>{labels}{keys}'
    )
    return _framed(layer, paint, _HEIGHT, body)


def _categories_svg(layer: Layer, paint: Paint, categories: Categories) -> str:
    """Two columns of swatches with their labels, and that of no prediction."""
    ink, muted, _ = _TEXT_INKS[paint.theme]
    entries = [
        (label, f'fill="{_hex(colour)}"')
        for label, colour in zip(categories.labels, categories.colours, strict=True)
    ]
    entries.append(("no prediction", f'fill="none" stroke="{muted}" stroke-dasharray="2 2"'))
    half = -(-len(entries) // 2)
    parts = []
    for place, (label, fill) in enumerate(entries):
        x = _MARGIN + (place // half) * (_WIDTH // 2 - _MARGIN // 2)
        y = 47 + (place % half) * _LINE
        parts.append(
            f'<rect x="{x}" y="{y}" width="12" height="12" rx="2" {fill}/>'
            f'<text x="{x + 17}" y="{y + 10}" fill="{ink}">{html.escape(label)}</text>'
        )
    return _framed(layer, paint, 47 + half * _LINE + 6, "".join(parts))


def _framed(layer: Layer, paint: Paint, height: int, body: str) -> str:
    """A picture with ground, title and unit."""
    ink, muted, ground = _TEXT_INKS[paint.theme]
    title = html.escape(layer.title if len(layer.title) <= 36 else layer.title[:35] + "…")
    style = ' font-style="italic"' if layer.species_id is not None else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="Source Sans 3, Liberation Sans, Arial, sans-serif" '
        f'font-size="11" role="img"><title>{title}, {html.escape(layer.unit)}</title>'
        f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="{ground}"/>'
        f'<text x="{_MARGIN}" y="21" font-size="13" font-weight="600" fill="{ink}"{style}>{title}</text>'
        f'<text x="{_MARGIN}" y="37" fill="{muted}">{html.escape(_short(layer.unit))}</text>'
        f"{body}</svg>"
    )


def _short(text: str) -> str:
    """A text that fits the width of the picture."""
    return text if len(text) <= _MOST_LETTERS else text[: _MOST_LETTERS - 1] + "…"
