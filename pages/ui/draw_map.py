"""The Leaflet map on which a region is drawn or clicked together; it needs no tile server."""

from __future__ import annotations

from typing import Any

import folium
from folium.elements import JSCSSMixin
from folium.plugins import Draw
from folium.template import Template
from streamlit_folium import st_folium

from pages.ui import palette
from pages.ui.resources import Bounds
from pages.ui.routes import base_path, basemap_url, leaflet_url

HEIGHT = 520


class _FetchedLayer(JSCSSMixin, folium.MacroElement):
    """GeoJSON that the browser fetches and draws below everything else."""

    _template = Template("""
        {% macro script(this, kwargs) %}
        {% set map = this._parent.get_name() %}
        if (!{{ map }}.getPane('{{ this.pane }}')) {
            {{ map }}.createPane('{{ this.pane }}').style.zIndex = {{ this.z_index }};
            {{ map }}.getPane('{{ this.pane }}').style.pointerEvents = 'none';
        }
        fetch({{ this.url | tojson }}).then(answer => answer.json()).then(shapes => L.geoJSON(
            shapes, {pane: '{{ this.pane }}', interactive: false, style: {{ this.style | tojson }}}
        ).addTo({{ map }}));
        {% endmacro %}
    """)

    def __init__(self, url: str, pane: str, z_index: int, style: dict[str, Any]):
        super().__init__()
        self._name = f"FetchedLayer{pane}"
        self.url, self.pane, self.z_index, self.style = url, pane, z_index, style


class _Look(folium.MacroElement):
    """Scale bar, and colours of the sea and of the buttons in the reader's theme."""

    _template = Template("""
        {% macro script(this, kwargs) %}
        L.control.scale({imperial: false, position: 'bottomright'}).addTo({{ this._parent.get_name() }});
        {{ this._parent.get_name() }}.getContainer().style.background = '{{ this.sea }}';
        {{ this._parent.get_name() }}.getContainer().style.font = '12px sans-serif';
        {{ this._parent.get_name() }}.attributionControl.setPrefix(false);
        {{ this._parent.get_name() }}.attributionControl.addAttribution('Natural Earth');
        {% endmacro %}
    """)

    def __init__(self, sea: str):
        super().__init__()
        self._name = "Look"
        self.sea = sea


class _Map(folium.Map):
    """A Leaflet map with our own copy of Leaflet and nothing else."""

    default_js: list[tuple[str, str]] = []  # noqa: RUF012
    default_css: list[tuple[str, str]] = []  # noqa: RUF012


def base_map(bounds: Bounds, coverage_url: str, with_drawing: bool) -> folium.Map:
    """Land, borders and what the atlas covers; with drawing tools where asked for."""
    root, ink = base_path(), palette.inks()
    _Map.default_js = [("leaflet", leaflet_url("leaflet.js", root))]
    _Map.default_css = [("leaflet_css", leaflet_url("leaflet.css", root))]
    west, south, east, north = bounds
    leaflet = _Map(
        tiles=None,
        location=((south + north) / 2, (west + east) / 2),
        zoom_start=5,
        min_zoom=2,
        max_zoom=13,
        world_copy_jump=False,
        prefer_canvas=True,
        zoom_snap=0.25,
        zoom_delta=0.5,
    )
    leaflet.fit_bounds([[south, west], [north, east]])
    plain = {"stroke": False, "fillOpacity": 1}
    _FetchedLayer(
        basemap_url("land", root), "land", 150, {**plain, "fillColor": palette.css(ink.land)}
    ).add_to(leaflet)
    _FetchedLayer(coverage_url, "coverage", 160, {**plain, "fillColor": palette.css(ink.covered)}).add_to(
        leaflet
    )
    _FetchedLayer(
        basemap_url("countries", root),
        "borders",
        170,
        {"fill": False, "color": palette.css(ink.border), "weight": 1},
    ).add_to(leaflet)
    _Look(ink.sea).add_to(leaflet)
    if with_drawing:
        Draw.default_js = [("leaflet_draw_js", leaflet_url("draw.js", root))]
        Draw.default_css = [("leaflet_draw_css", leaflet_url("draw.css", root))]
        stroke = {"color": palette.css(ink.outline), "weight": 2.5, "fillOpacity": 0.12}
        Draw(
            show_geometry_on_click=False,
            draw_options={
                "polyline": False,
                "circle": False,
                "marker": False,
                "circlemarker": False,
                "polygon": {"allowIntersection": True, "shapeOptions": stroke},
                "rectangle": {"shapeOptions": stroke},
            },
            edit_options={"edit": False, "remove": False},
        ).add_to(leaflet)
    return leaflet


def drawn_polygon(bounds: Bounds, coverage_url: str, key: str) -> dict[str, Any] | None:
    """GeoJSON geometry of the outline drawn last; None before the first."""
    answer = st_folium(
        base_map(bounds, coverage_url, with_drawing=True),
        key=key,
        height=HEIGHT,
        use_container_width=True,
        returned_objects=["last_active_drawing"],
    )
    drawing = (answer or {}).get("last_active_drawing")
    return drawing["geometry"] if drawing else None


def clicked_point(
    bounds: Bounds, coverage_url: str, cells: list[dict[str, Any]], key: str
) -> tuple[float, float] | None:
    """Longitude and latitude clicked last, on a map that shows the chosen cells."""
    chosen = folium.FeatureGroup(name="chosen")
    colour = palette.css(palette.inks().outline)
    for outline in cells:
        folium.GeoJson(
            outline,
            style_function=lambda _feature: {
                "color": colour,
                "weight": 2,
                "fillColor": colour,
                "fillOpacity": 0.18,
            },
        ).add_to(chosen)
    answer = st_folium(
        base_map(bounds, coverage_url, with_drawing=False),
        key=key,
        height=HEIGHT,
        use_container_width=True,
        feature_group_to_add=chosen,
        returned_objects=["last_clicked"],
    )
    clicked = (answer or {}).get("last_clicked")
    return (float(clicked["lng"]), float(clicked["lat"])) if clicked else None
