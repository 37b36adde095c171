"""The legend of a map: name, unit, ramp or categories, what is not on the ramp, source and date."""

from __future__ import annotations

import html

from pages.ui import palette
from pages.ui.messages import layer_unit, say
from pages.ui.numbers import layer_value
from sdm_core.colours import Categories, Scale


def legend(
    scale: Scale,
    name: str,
    size: str,
    source: str,
    show_observed: bool,
    italic: bool,
    masked: str = "",
    highest: float | None = None,
    lowest: float | None = None,
    undefined: bool = False,
) -> str:
    """HTML of the legend: name, unit, ramp with its ends, swatches, size of what is drawn, atlas and date.

    masked: "hatched" or "grey", where what lies outside the model's experience is so. highest, lowest: values
    drawn; an end of the ramp says where it stands for more, or less. undefined: some cells have no value.
    """
    ink = palette.inks()
    title = f"<i>{html.escape(name)}</i>" if italic else html.escape(name)
    values = _ramp(scale, highest, lowest) if scale.categories is None else _swatches(scale.categories)
    swatches = []
    if masked:
        swatches.append(f'<span class="fs-swatch fs-{masked}"></span>' + say("legend_outside"))
    if scale.cutoff > max(scale.low, 0.0):
        swatches.append(
            f'<span class="fs-swatch" style="background:{palette.css(ink.zero)}"></span>'
            + layer_value(scale.layer, 0.0)
        )
        label = say("legend_cutoff", value=layer_value(scale.layer, scale.cutoff))
        swatches.append(f'<span class="fs-swatch" style="background:{palette.css(ink.faint)}"></span>{label}')
    if undefined:
        swatches.append(
            f'<span class="fs-swatch" style="background:{palette.css(ink.outside)}"></span>'
            + say("legend_undefined")
        )
    swatches.append(
        f'<span class="fs-swatch fs-none" style="background:{palette.css(ink.land)}"></span>'
        + say("legend_missing")
    )
    if show_observed:
        swatches.append(
            f'<span class="fs-dot" style="background:{palette.css(ink.observed)};'
            f'border-color:{palette.css(ink.observed_rim)}"></span>{say("legend_observed")}'
        )
    return (
        f'<div class="fs-legend" role="note"><div class="fs-legend-name">{title}</div>'
        f'<div class="fs-legend-unit">{html.escape(layer_unit(scale.layer))}</div>{values}'
        f'<div class="fs-keys">{"".join(f"<span>{swatch}</span>" for swatch in swatches)}</div>'
        f'<div class="fs-source">{size}'
        f"<br><span>{html.escape(source)}</span></div></div>"
    )


def _ramp(scale: Scale, highest: float | None, lowest: float | None) -> str:
    """HTML of a ramp with its ends and middle."""
    middle = (scale.low + scale.high) / 2
    labels = [layer_value(scale.layer, v) for v in (scale.low, middle, scale.high)]
    if highest is not None and highest > scale.high:
        labels[-1] = f"≥\u202f{labels[-1]}"
    if lowest is not None and lowest < scale.low:
        labels[0] = f"≤\u202f{labels[0]}"
    ends = "".join(f"<span>{label}</span>" for label in labels)
    return (
        f'<div class="fs-ramp" style="background:{palette.css_ramp(scale.layer)}"></div>'
        f'<div class="fs-ends">{ends}</div>'
    )


def _swatches(categories: Categories) -> str:
    """HTML of the colours of categories with their names."""
    entries = "".join(
        f'<span><span class="fs-swatch" style="background:rgb{colour}"></span>{html.escape(label)}</span>'
        for label, colour in zip(categories.labels, categories.colours, strict=True)
    )
    return f'<div class="fs-keys fs-categories">{entries}</div>'
