"""Maps for print: an equal-area frame with land, scale bar, north arrow and legend.

Every map of a report is drawn in a Lambert azimuthal equal-area projection centred on the region, so one
scale bar holds for the whole map to within a few per cent up to about the size of Europe.
"""

from __future__ import annotations

import contextlib
import functools
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.patches import PathPatch
from matplotlib.path import Path as DrawnPath
from matplotlib.patheffects import withStroke
from pyproj import Transformer
from shapely.geometry.polygon import orient

from sdm_core.colours import RAMPS

#: Dots per inch of every figure of a report.
FIGURE_DPI = 300
MM_PER_INCH = 25.4
SEA_COLOUR = "#eef3f6"
LAND_COLOUR = "#e3e1db"
BORDER_COLOUR = "#b9b5aa"
OUTLINE_COLOUR = "#1d1d1d"
TEXT_COLOUR = "#22282b"
MUTED_COLOUR = "#5b6469"
ACCENT_COLOUR = "#1f6f54"
_DRAWING = threading.Lock()
_FONTS = ("Inter", "Source Sans 3", "Liberation Sans", "Arial", "Helvetica", "DejaVu Sans")


@functools.cache
def available_fonts() -> tuple[str, ...]:
    """Sans-serif fonts of this machine in the order they are tried, never empty."""
    installed = {font.name for font in fontManager.ttflist}
    return tuple(name for name in _FONTS if name in installed) or ("DejaVu Sans",)


def font_settings() -> dict[str, Any]:
    """Matplotlib settings of every figure of a report."""
    return {
        "font.family": list(available_fonts()),
        "font.size": 7.5,
        "text.color": TEXT_COLOUR,
        "axes.labelcolor": TEXT_COLOUR,
        "axes.edgecolor": "#8b9296",
        "axes.linewidth": 0.6,
        "xtick.color": MUTED_COLOUR,
        "ytick.color": MUTED_COLOUR,
        "xtick.major.width": 0.5,
        "ytick.major.width": 0.5,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "svg.fonttype": "none",
    }


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Report settings for as long as one figure is drawn; one figure at a time, as they are global."""
    settings: Any = font_settings()
    with _DRAWING, matplotlib.rc_context(settings):
        yield


@dataclass(frozen=True)
class Frame:
    """The projected rectangle a map shows.

    `west`, `south`, `east`, `north` are metres in `transformer`'s equal-area plane; `centre` is longitude
    and latitude of its origin.
    """

    centre: tuple[float, float]
    transformer: Transformer
    west: float
    south: float
    east: float
    north: float

    @property
    def aspect(self) -> float:
        """Width over height."""
        return (self.east - self.west) / (self.north - self.south)

    @property
    def width_km(self) -> float:
        """Width in kilometres."""
        return (self.east - self.west) / 1000.0

    def lonlat_bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees of everything the frame may show, with a small margin."""
        xs = np.linspace(self.west, self.east, 9)
        ys = np.linspace(self.south, self.north, 9)
        grid_x, grid_y = np.meshgrid(xs, ys)
        lon, lat = self.transformer.transform(grid_x.ravel(), grid_y.ravel(), direction="INVERSE")
        lon, lat = np.asarray(lon), np.asarray(lat)
        keep = np.isfinite(lon) & np.isfinite(lat)
        if not keep.any():
            return -180.0, -90.0, 180.0, 90.0
        lon, lat = lon[keep], lat[keep]
        return (
            max(-180.0, float(lon.min()) - 1.0),
            max(-90.0, float(lat.min()) - 1.0),
            min(180.0, float(lon.max()) + 1.0),
            min(90.0, float(lat.max()) + 1.0),
        )

    def project(self, geometry: Any) -> Any:
        """Shapely geometry (or array of them) from longitude, latitude to the frame's metres."""
        return shapely.transform(geometry, self._project_coordinates)

    def _project_coordinates(self, coordinates: np.ndarray) -> np.ndarray:
        x, y = self.transformer.transform(coordinates[:, 0], coordinates[:, 1])
        return np.column_stack([x, y])


def frame_around(
    geometry: Any,
    *,
    margin: float = 0.06,
    aspect_range: tuple[float, float] = (0.75, 2.2),
    least_width_km: float = 12.0,
) -> Frame:
    """Frame around a longitude-latitude geometry.

    `margin` is the free edge as a share of the longer side; the frame is widened, never cut, until its
    width over height lies in `aspect_range` and its width is at least `least_width_km`.
    """
    west, south, east, north = (float(value) for value in shapely.bounds(geometry))
    centre = ((west + east) / 2.0, (south + north) / 2.0)
    transformer = Transformer.from_crs(
        "EPSG:4326",
        f"+proj=laea +lon_0={centre[0]:.6f} +lat_0={centre[1]:.6f} +datum=WGS84 +units=m +no_defs",
        always_xy=True,
    )
    projected = shapely.transform(
        geometry, lambda xy: np.column_stack(transformer.transform(xy[:, 0], xy[:, 1]))
    )
    left, bottom, right, top = (float(value) for value in shapely.bounds(projected))
    middle_x, middle_y = (left + right) / 2.0, (bottom + top) / 2.0
    width = max(right - left, least_width_km * 1000.0)
    height = max(top - bottom, least_width_km * 1000.0 / aspect_range[1])
    edge = 2.0 * margin * max(width, height)
    width, height = width + edge, height + edge
    width = max(width, height * aspect_range[0])
    height = max(height, width / aspect_range[1])
    return Frame(
        centre,
        transformer,
        middle_x - width / 2.0,
        middle_y - height / 2.0,
        middle_x + width / 2.0,
        middle_y + height / 2.0,
    )


def new_figure(width_mm: float, height_mm: float) -> Figure:
    """Empty figure of that size with its own Agg canvas, safe to draw in any thread."""
    figure = Figure(figsize=(width_mm / MM_PER_INCH, height_mm / MM_PER_INCH), dpi=FIGURE_DPI)
    FigureCanvasAgg(figure)
    return figure


def draw_frame(axes: Axes, frame: Frame, land: Any | None, borders: Any | None = None) -> None:
    """Sea, land and country borders of a frame; `land` and `borders` in longitude, latitude, or None."""
    axes.set_xlim(frame.west, frame.east)
    axes.set_ylim(frame.south, frame.north)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor(SEA_COLOUR if land is not None else "#f6f5f2")
    for spine in axes.spines.values():
        spine.set_edgecolor("#8b9296")
        spine.set_linewidth(0.5)
    has_borders = borders is not None and len(borders) > 0
    if land is not None:
        edge = "none" if has_borders else BORDER_COLOUR
        draw_polygons(axes, frame, land, face=LAND_COLOUR, edge=edge, width=0.35, order=1)
    if has_borders:  # their coast is finer than that of the land, so they bring land of their own
        draw_polygons(axes, frame, borders, face=LAND_COLOUR, edge=BORDER_COLOUR, width=0.35, order=2)


def draw_polygons(
    axes: Axes, frame: Frame, geometry: Any, *, face: str, edge: str, width: float, order: float
) -> None:
    """Polygons given in longitude, latitude, holes left open."""
    drawn = polygon_path(frame.project(geometry))
    if drawn is not None:
        axes.add_patch(
            PathPatch(drawn, facecolor=face, edgecolor=edge, linewidth=width, zorder=order, joinstyle="round")
        )


def draw_outline(axes: Axes, frame: Frame, geometry: Any, *, width: float = 1.1) -> None:
    """Boundary of the region: dark line over a white one, so that it shows on every colour."""
    boundary = frame.project(geometry)
    tolerance = (frame.east - frame.west) / 4000.0
    drawn = polygon_path(shapely.simplify(boundary, tolerance))
    if drawn is None:
        drawn = polygon_path(boundary)
    if drawn is None:
        return
    for colour, line_width, order in (("white", width + 1.1, 5.0), (OUTLINE_COLOUR, width, 5.1)):
        axes.add_patch(
            PathPatch(
                drawn,
                facecolor="none",
                edgecolor=colour,
                linewidth=line_width,
                zorder=order,
                joinstyle="round",
            )
        )


def draw_cells(
    axes: Axes, frame: Frame, polygons: np.ndarray, values: np.ndarray, *, ramp: str, norm: Any
) -> PolyCollection:
    """Hexagons coloured by value; a NaN value is left out, so that the land shows through."""
    known = np.isfinite(values)
    corners = [np.asarray(shapely.get_coordinates(polygon)) for polygon in frame.project(polygons[known])]
    collection = PolyCollection(corners, cmap=ramp, norm=norm, linewidths=0.15, zorder=4, rasterized=True)
    collection.set_array(np.asarray(values, dtype=float)[known])
    collection.set_edgecolor("face")
    axes.add_collection(collection)
    return collection


def draw_plain_cells(axes: Axes, frame: Frame, polygons: np.ndarray, *, colour: str, order: float) -> None:
    """Hexagons in one colour, without gaps between them."""
    corners = [np.asarray(shapely.get_coordinates(polygon)) for polygon in frame.project(polygons)]
    axes.add_collection(
        PolyCollection(
            corners, facecolors=colour, edgecolors=colour, linewidths=0.2, zorder=order, rasterized=True
        )
    )


def polygon_path(geometry: Any) -> DrawnPath | None:
    """Matplotlib path of every ring of a polygonal geometry; None when it has none."""
    polygons = [
        orient(part)
        for part in shapely.get_parts(shapely.get_parts(np.atleast_1d(geometry)))
        if part.geom_type == "Polygon" and not part.is_empty
    ]
    rings = [np.asarray(ring.coords)[:, :2] for part in polygons for ring in (part.exterior, *part.interiors)]
    rings = [ring for ring in rings if np.isfinite(ring).all() and len(ring) >= 4]
    if not rings:
        return None
    codes = []
    for ring in rings:
        ring_codes = np.full(len(ring), DrawnPath.LINETO, dtype=DrawnPath.code_type)
        ring_codes[0] = DrawnPath.MOVETO
        ring_codes[-1] = DrawnPath.CLOSEPOLY
        codes.append(ring_codes)
    return DrawnPath(np.concatenate(rings), np.concatenate(codes))


def round_length_km(width_km: float) -> float:
    """Longest of 1, 2, 5 × 10ⁿ km that is no more than a quarter of the map's width."""
    target = width_km / 4.0
    power = 10.0 ** math.floor(math.log10(target))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= target)


def draw_scale_bar(axes: Axes, frame: Frame) -> None:
    """Scale bar in the lower left corner, labelled in kilometres (metres below one)."""
    length_km = round_length_km(frame.width_km)
    width = frame.east - frame.west
    height = frame.north - frame.south
    left = frame.west + 0.03 * width
    bottom = frame.south + 0.04 * height
    tick = 0.012 * max(width, height)
    right = left + length_km * 1000.0
    for colour, line_width, order in (("white", 3.2, 8.0), (TEXT_COLOUR, 1.2, 8.1)):
        axes.plot(
            [left, left, right, right],
            [bottom + tick, bottom, bottom, bottom + tick],
            color=colour,
            linewidth=line_width,
            solid_capstyle="butt",
            solid_joinstyle="miter",
            zorder=order,
        )
    label = f"{length_km:g} km" if length_km >= 1 else f"{length_km * 1000:g} m"
    text = axes.text(
        (left + right) / 2.0, bottom + 0.9 * tick, label, ha="center", va="bottom", fontsize=6.5, zorder=8.2
    )
    _halo(text)


def draw_north_arrow(axes: Axes) -> None:
    """North arrow in the upper right corner; north is up at the centre of the map."""
    axes.annotate(
        "N",
        xy=(0.965, 0.965),
        xytext=(0.965, 0.965),
        xycoords="axes fraction",
        ha="center",
        va="top",
        fontsize=7.5,
        fontweight="bold",
        zorder=9,
    )
    position = axes.get_position()
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure_size = figure.get_size_inches()
    height_inches = position.height * figure_size[1]
    width_inches = position.width * figure_size[0]
    length = 0.16 / height_inches
    half = 0.035 / width_inches
    top = 0.965 - 0.13 / height_inches
    corners = [
        (0.965, top),
        (0.965 - half, top - length),
        (0.965, top - length * 0.75),
        (0.965 + half, top - length),
        (0.965, top),
    ]
    axes.add_patch(
        PathPatch(
            DrawnPath(corners),
            transform=axes.transAxes,
            facecolor=TEXT_COLOUR,
            edgecolor="white",
            linewidth=0.5,
            zorder=9,
        )
    )


def _halo(text: Any) -> None:
    """White edge around letters that lie on a map."""
    text.set_path_effects([withStroke(linewidth=2.0, foreground="white")])


__all__ = [
    "FIGURE_DPI",
    "RAMPS",
    "Frame",
    "draw_cells",
    "draw_frame",
    "draw_north_arrow",
    "draw_outline",
    "draw_polygons",
    "draw_scale_bar",
    "drawing",
    "font_settings",
    "frame_around",
    "new_figure",
]
