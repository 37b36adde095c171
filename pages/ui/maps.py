"""Hexagon maps with pydeck, and the map to draw on with Leaflet; both work without the internet."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from pages.ui import palette, resources
from pages.ui.hexagons import N_TOOLTIP_SPECIES, Bounds
from pages.ui.map_legend import legend as legend
from pages.ui.messages import layer_unit, say
from pages.ui.numbers import layer_value, number
from pages.ui.routes import LAYERS, base_path, basemap_url
from sdm_core.colours import Categories, Scale, scale_for

if TYPE_CHECKING:
    import pydeck as pdk

    from pages.ui.hexagons import MapCells
    from sdm_core.registry import Atlas

#: Kilometres per degree of latitude.
_KM_PER_DEGREE = 111.195
#: Width and height, in pixels, that a first view must fit into.
_FIT_PIXELS = (740, 540)
_PHONE_PIXELS = (340, 500)
#: Colour of hexagons that are pointed at but not seen; without any opacity they would not be found.
_UNSEEN = (255, 255, 255, 1)


def screen_pixels() -> tuple[int, int]:
    """Width and height a first view must fit into: a narrow map on phones."""
    agent = str(st.context.headers.get("User-Agent", "")) if st.context.headers else ""
    return _PHONE_PIXELS if "Mobi" in agent else _FIT_PIXELS


def fit(bounds: Bounds, pixels: tuple[int, int] = _FIT_PIXELS) -> tuple[float, float, float]:
    """Centre longitude, centre latitude and Web-Mercator zoom that show all of `bounds`."""
    west, south, east, north = bounds
    south, north = max(south, -85.0), min(north, 85.0)

    def mercator(latitude: float) -> float:
        return math.degrees(math.log(math.tan(math.pi / 4 + math.radians(latitude) / 2)))

    width, height = max(east - west, 0.02), max(mercator(north) - mercator(south), 0.02)
    zoom = min(math.log2(pixels[0] * 360 / (512 * width)), math.log2(pixels[1] * 360 / (512 * height)))
    middle = (mercator(south) + mercator(north)) / 2
    latitude = math.degrees(2 * math.atan(math.exp(math.radians(middle))) - math.pi / 2)
    return (west + east) / 2, latitude, round(min(zoom, 11.0), 2)


def hexagon_rows(
    cells: MapCells,
    values: NDArray[np.floating],
    scale: Scale,
    ink: palette.Inks,
    outside: NDArray[np.bool_] | None = None,
    lines: Sequence[str] | None = None,
) -> bytes:
    """JSON rows of a hexagon layer: cell, colour, value, line below it, warning, its best species.

    outside: which hexagons lie outside the model's experience and are greyed; their tooltip says so. lines:
    text below the value of each hexagon, such as its interval.
    """
    colours = palette.colours(
        scale.layer, values, scale.low, scale.high, scale.cutoff, ink, outside, scale.categories
    )
    doubtful = np.zeros(len(values), dtype=bool) if outside is None else outside
    below = [""] * len(values) if lines is None else lines
    texts = [json.dumps(value_text(scale, value), ensure_ascii=False) for value in values.tolist()]
    warning = say("tooltip_outside")
    rows = (
        f'{{"h":"{cell}","c":[{red},{green},{blue}],"v":{text},'
        f'"i":{json.dumps(line, ensure_ascii=False)},"o":"{warning if doubt else ""}",{label}}}'
        for cell, (red, green, blue), text, line, doubt, label in zip(
            cells.names,
            colours.tolist(),
            texts,
            below,
            doubtful.tolist(),
            cells.labels,
            strict=True,
        )
    )
    return f"[{','.join(rows)}]".encode()


def value_text(scale: Scale, value: float) -> str:
    """A value of a map as its tooltip writes it, or what it stands for."""
    return layer_value(scale.layer, value) if scale.categories is None else scale.categories.text(value)


def published(
    atlas: Atlas,
    layer: str,
    species_id: int,
    cells: MapCells,
    cutoff: float,
    full_range: bool,
    part: str,
    masked: bool = False,
    values: NDArray[np.float64] | None = None,
    categories: Categories | None = None,
    lines: Callable[[Scale], Sequence[str]] | None = None,
) -> tuple[str, Scale]:
    """Address of a layer's hexagons for the browser, and their scale; `part` names what `cells` covers.

    masked: grey out what lies outside the model's experience. values: one per hexagon, for a layer that no
    store holds; `part` then names what they are made from, too. categories: what they stand for. lines: gives
    the text below each value.
    """
    ink = palette.inks()
    version = atlas.key
    if values is None:
        values = resources.values_of(
            atlas.name, version, layer, species_id if layer == "species" else -1, part, cells
        )
    if categories is None:
        scale = scale_for(layer, values, cutoff, full_range)
    else:
        scale = Scale(layer, 0.0, float(len(categories.labels) - 1), 0.0, categories)
    outside = resources.outside_of(atlas.name, version, part, cells) if masked else None
    key = repr((atlas.name, version, layer, species_id, part, scale, ink.faint, masked, lines is not None))

    def rows() -> bytes:
        return hexagon_rows(cells, values, scale, ink, outside, None if lines is None else lines(scale))

    return LAYERS.publish(key, rows, base_path()), scale


def hexagon_map(
    hexagons_url: str,
    layer: str,
    bounds: Bounds,
    opacity: float = 0.9,
    observed: pd.DataFrame | None = None,
    outline: dict[str, Any] | None = None,
    chosen: str = "",
    pixels: tuple[int, int] | None = None,
    legend_pixels: int = 0,
    base_style: str = "",
    mean_of: str = "",
) -> pdk.Deck:
    """Deck of one hexagon layer over the base map.

    hexagons_url: address of rows made by `hexagon_rows`. observed: columns `longitude`, `latitude`,
    `n_records`. outline: GeoJSON drawn on top. chosen: H3 name of a cell to ring. pixels: width and
    height the first view must fit into. legend_pixels: width of a legend on the right, from which the
    view moves away where there is room. base_style: address of a map style that draws land, borders and every
    cell as tiles (`map_tiles.style_url`); the hexagons then only answer to the pointer. mean_of: what the
    tooltip's values are means of, in words.

    Colours are given to the sublayers: Streamlit fades the colours of every layer once something is
    selected, and a map that pales after a click cannot be read against its legend.
    """
    import pydeck as pdk

    ink = palette.inks()
    screen = screen_pixels()
    pixels = min(pixels or screen, screen)
    longitude, latitude, zoom = fit(bounds, pixels)
    pixels_per_degree = 512 * 2**zoom / 360
    slack = max(0.0, pixels[0] - pixels_per_degree * (bounds[2] - bounds[0]))
    longitude += min(slack, legend_pixels) / 2 / pixels_per_degree
    layers = [
        pdk.Layer(
            "H3HexagonLayer",
            data=pdk.types.String(hexagons_url),
            id="cells",
            get_hexagon="h",
            high_precision=True,
            filled=True,
            stroked=False,
            extruded=False,
            opacity=opacity,
            pickable=True,
            auto_highlight=True,
            highlight_color=[255, 255, 255, 45 if base_style else 90],
            _subLayerProps={"hexagon-cell-hifi": {"getFillColor": list(_UNSEEN) if base_style else "@@=c"}},
        )
    ]
    if not base_style:
        layers = [_land(ink), *layers, _countries(ink)]
    if observed is not None and len(observed):
        layers.append(_observed_layer(observed, ink))
    if outline is not None:
        layers.append(
            pdk.Layer(
                "GeoJsonLayer",
                data=outline,
                id="outline",
                filled=False,
                stroked=True,
                line_width_min_pixels=2,
                line_width_max_pixels=3,
                _subLayerProps={"polygons-stroke": {"getColor": list(ink.outline)}},
            )
        )
    if chosen:
        layers.append(
            pdk.Layer(
                "H3HexagonLayer",
                data=[{"h": chosen}],
                id="chosen",
                get_hexagon="h",
                high_precision=True,
                filled=False,
                stroked=True,
                extruded=False,
                get_line_color=list(ink.outline),
                line_width_min_pixels=2.5,
            )
        )
    layers += scale_bar(bounds, ink)
    return pdk.Deck(
        layers=layers,
        initial_view_state=pdk.ViewState(
            longitude=longitude, latitude=latitude, zoom=zoom, min_zoom=1, max_zoom=12
        ),
        map_provider=None,
        **({"map_style": base_style} if base_style else {}),
        tooltip={"html": tooltip(layer, mean_of), "style": TOOLTIP_STYLE},
    )


def _land(ink: palette.Inks) -> pdk.Layer:
    import pydeck as pdk

    return pdk.Layer(
        "GeoJsonLayer",
        data=pdk.types.String(basemap_url("land", base_path())),
        id="land",
        filled=True,
        stroked=False,
        _subLayerProps={"polygons-fill": {"getFillColor": list(ink.land)}},
    )


def _countries(ink: palette.Inks) -> pdk.Layer:
    import pydeck as pdk

    return pdk.Layer(
        "GeoJsonLayer",
        data=pdk.types.String(basemap_url("countries", base_path())),
        id="countries",
        filled=False,
        stroked=True,
        line_width_min_pixels=0.7,
        line_width_max_pixels=1.2,
        _subLayerProps={"polygons-stroke": {"getColor": list(ink.border)}},
    )


def tooltip(layer: str, mean_of: str = "") -> str:
    """HTML of the tooltip: value with unit, interval, what it is a mean of, warning, best species.

    What is filled in is shown as it is, never as HTML; lines without content take no room.
    """
    lines = "".join(f"<div>{{p{rank}}} <i>{{s{rank}}}</i></div>" for rank in range(N_TOOLTIP_SPECIES))
    wider = f"<div style='opacity:0.75'>{mean_of}</div>" if mean_of else ""
    return f"<b>{{v}}</b> {layer_unit(layer)}<div>{{i}}</div>{wider}<div><b>{{o}}</b></div>{lines}"


TOOLTIP_STYLE = {
    "backgroundColor": "rgba(20,28,26,0.94)",
    "color": "#f3f6f4",
    "fontSize": "12.5px",
    "lineHeight": "1.45",
    "padding": "8px 10px",
    "borderRadius": "8px",
    "maxWidth": "300px",
}


def _observed_layer(observed: pd.DataFrame, ink: palette.Inks) -> pdk.Layer:
    """Circles whose area grows with the number of records."""
    import pydeck as pdk

    counts = observed["n_records"].to_numpy(float)
    largest = max(float(np.quantile(counts, 0.98)), 1.0)
    radius = 1.5 + 6.5 * np.sqrt(np.clip(counts / largest, 0, 1))
    rows = [
        {"p": [lon, lat], "r": size, "t": f"<b>{number(count)}</b> records observed near here"}
        for lon, lat, size, count in zip(
            observed["longitude"].round(4).tolist(),
            observed["latitude"].round(4).tolist(),
            radius.round(2).tolist(),
            counts.tolist(),
            strict=True,
        )
    ]
    return pdk.Layer(
        "ScatterplotLayer",
        data=rows,
        id="observed",
        get_position="p",
        get_radius="r",
        radius_units=pdk.types.String("pixels"),
        filled=True,
        stroked=True,
        get_fill_color=list(ink.observed),
        get_line_color=list(ink.observed_rim),
        line_width_min_pixels=1,
        pickable=False,
    )


def scale_bar(bounds: Bounds, ink: palette.Inks) -> list[pdk.Layer]:
    """A bar of a round length in the lower left of `bounds`, on the map itself: true at any zoom."""
    import pydeck as pdk

    west, south, east, north = bounds
    latitude = south + 0.005 * (north - south)
    km_per_degree = _KM_PER_DEGREE * math.cos(math.radians(latitude))
    # the longer side counts: a tall region fills the height of the map, and its width would give a stub
    target = max((east - west) * km_per_degree, (north - south) * _KM_PER_DEGREE) / 5
    power = 10.0 ** math.floor(math.log10(max(target, 0.1)))
    length = next((step * power for step in (5, 2, 1) if step * power <= target), power)
    left = west + 0.02 * (east - west)
    right = left + length / km_per_degree
    tick = 0.008 * (north - south)
    path = [[left, latitude + tick], [left, latitude], [right, latitude], [right, latitude + tick]]
    line = {"type": "Feature", "properties": {}, "geometry": {"type": "LineString", "coordinates": path}}
    return [
        pdk.Layer(
            "GeoJsonLayer",
            data=line,
            id="scale-bar",
            stroked=True,
            line_width_min_pixels=2,
            line_width_max_pixels=2,
            _subLayerProps={"linestrings": {"getColor": list(ink.label)}},
        ),
        pdk.Layer(
            "TextLayer",
            data=[{"p": [(left + right) / 2, latitude], "text": f"{length:g} km"}],
            id="scale-text",
            get_position="p",
            get_text="text",
            get_size=13,
            get_alignment_baseline=pdk.types.String("bottom"),
            font_family=pdk.types.String("Source Sans, Source Sans Pro, sans-serif"),
            get_pixel_offset=[0, -4],
            _subLayerProps={"characters": {"getColor": list(ink.label)}},
        ),
    ]
