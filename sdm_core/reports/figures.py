"""Maps of a report and what its figures share: 300 dpi, colour-blind-safe (`charts` draws the others).

Each function draws one figure and returns the bytes of a PNG, or with `image="svg"` of an SVG; none of them
computes an indicator, they draw the numbers they are given.
"""

from __future__ import annotations

import base64
import io
import textwrap
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from PIL import Image

from sdm_core.reports import cartography as carto

#: Width of a figure over the whole text column and over half of it, in millimetres.
FULL_WIDTH_MM = 170.0
HALF_WIDTH_MM = 84.0
#: How a figure is written: pixels for pages, or lines for print and editing.
ImageKind = Literal["png", "svg"]


@dataclass(frozen=True)
class DrawnFigure:
    """One figure of a report, ready to be embedded.

    `image` bytes of a PNG or an SVG; `alt` what it shows, for those who cannot see it; `caption` the sentence
    below it; `width_mm` its width in print.
    """

    key: str
    image: bytes
    alt: str
    caption: str
    width_mm: float

    @property
    def data_uri(self) -> str:
        """A PNG as a `data:` address, so that the page asks nobody for it."""
        return "data:image/png;base64," + base64.b64encode(self.image).decode("ascii")


@dataclass(frozen=True)
class Basemap:
    """Land and country borders in longitude, latitude; None where the installation has none."""

    land: Any | None = None
    borders: Any | None = None

    def within(self, frame: carto.Frame) -> Basemap:
        """The part of the base map a frame can show, so that drawing stays quick and lines stay short."""
        clip = frame.lonlat_bounds()
        return Basemap(_clipped(self.land, clip), _clipped(self.borders, clip))


def _clipped(geometry: Any | None, clip: tuple[float, float, float, float]) -> Any | None:
    if geometry is None:
        return None
    parts = shapely.clip_by_rect(shapely.get_parts(geometry), *clip)
    return parts[~shapely.is_empty(parts)]


def saved(figure: Figure, image: ImageKind) -> bytes:
    """Bytes of a figure at the resolution of print; an SVG carries no date, so that it can be compared."""
    buffer = io.BytesIO()
    if image == "svg":
        metadata = {"Date": None, "Creator": "Florascope"}
        with matplotlib.rc_context({"svg.hashsalt": "florascope"}):
            figure.savefig(buffer, format="svg", dpi=carto.FIGURE_DPI, facecolor="white", metadata=metadata)
        return buffer.getvalue()
    # Without the channel of transparency, which is the same everywhere, a PDF takes a third less time.
    figure.set_facecolor("white")
    canvas: Any = figure.canvas
    canvas.draw()
    colours = np.asarray(canvas.buffer_rgba())[:, :, :3]
    Image.fromarray(np.ascontiguousarray(colours)).save(buffer, "png", dpi=(carto.FIGURE_DPI,) * 2)
    return buffer.getvalue()


def cell_map(
    polygons: np.ndarray,
    values: np.ndarray,
    outline: Any,
    basemap: Basemap,
    *,
    label: str,
    ramp: str,
    credit: str,
    width_mm: float = FULL_WIDTH_MM,
    logarithmic: bool = False,
    empty_label: str = "",
    aspect_range: tuple[float, float] = (0.75, 2.2),
    image: ImageKind = "png",
) -> bytes:
    """Map of one value per H3 cell inside a region.

    `polygons` shapely hexagons in longitude, latitude; `values` one number per hexagon, NaN where there is
    none; `outline` the region; `label` quantity and unit for the legend; `credit` the line of sources below
    the map; `logarithmic` draws powers of ten evenly (1 for values below). With `empty_label`, cells
    without a value are drawn white and named so; without it they are left out, and the legend calls bare land
    "no prediction". `aspect_range` bounds width over height of the map.
    """
    with carto.drawing():
        whole = shapely.union_all(np.asarray([shapely.box(*shapely.total_bounds(polygons)), outline]))
        frame = carto.frame_around(whole if len(polygons) else outline, aspect_range=aspect_range)
        figure, axes = _map_axes(frame, width_mm)
        local = basemap.within(frame)
        carto.draw_frame(axes, frame, local.land, local.borders)
        norm = value_norm(values, logarithmic)
        if empty_label:
            empty = polygons[~np.isfinite(values)]
            carto.draw_polygons(
                axes, frame, empty, face="white", edge=carto.BORDER_COLOUR, width=0.3, order=3.9
            )
        drawn = carto.draw_cells(axes, frame, polygons, values, ramp=ramp, norm=norm)
        carto.draw_outline(axes, frame, outline)
        carto.draw_scale_bar(axes, frame)
        carto.draw_north_arrow(axes)
        _legend_below(figure, drawn, label, empty_label)
        add_credit(figure, credit)
        return saved(figure, image)


def location_map(
    outline: Any,
    basemap: Basemap,
    *,
    atlas_bounds: tuple[float, float, float, float] | None,
    credit: str,
    width_mm: float = HALF_WIDTH_MM,
    image: ImageKind = "png",
) -> bytes:
    """Where the region lies: its outline on land, about eight times as wide as itself, at least 900 km.

    `atlas_bounds` (west, south, east, north) is drawn as a dashed frame where it is in view.
    """
    with carto.drawing():
        local_frame = carto.frame_around(outline, aspect_range=(1.0, 1.6))
        span_km = min(max(900.0, 5.0 * local_frame.width_km), 6000.0)
        frame = carto.frame_around(
            outline, margin=0.05, aspect_range=(1.25, 1.25), least_width_km=max(span_km, 1.0)
        )
        figure, axes = _map_axes(frame, width_mm, foot_mm=10.5)
        local = basemap.within(frame)
        carto.draw_frame(axes, frame, local.land, local.borders)
        if atlas_bounds is not None:
            edge = shapely.segmentize(shapely.box(*atlas_bounds), 1.0)
            path = carto.polygon_path(frame.project(edge))
            if path is not None:
                axes.add_patch(
                    PathPatch(
                        path,
                        fill=False,
                        edgecolor=carto.MUTED_COLOUR,
                        linewidth=0.7,
                        linestyle="--",
                        zorder=4,
                    )
                )
        carto.draw_polygons(axes, frame, outline, face=carto.ACCENT_COLOUR, edge="none", width=0.0, order=4.5)
        carto.draw_outline(axes, frame, outline, width=0.8)
        small = local_frame.width_km < frame.width_km / 40.0
        if small:
            x, y = frame.transformer.transform(*frame.centre)
            axes.plot(
                [x], [y], marker="o", markersize=13, fillstyle="none", color=carto.ACCENT_COLOUR, zorder=6
            )
        carto.draw_scale_bar(axes, frame)
        carto.draw_north_arrow(axes)
        handles = [Patch(facecolor=carto.ACCENT_COLOUR, edgecolor=carto.OUTLINE_COLOUR, label="the region")]
        if local.land is not None:
            handles.append(Patch(facecolor=carto.LAND_COLOUR, edgecolor=carto.BORDER_COLOUR, label="land"))
        if atlas_bounds is not None:
            handles.append(
                Patch(
                    facecolor="none",
                    edgecolor=carto.MUTED_COLOUR,
                    linestyle="--",
                    label="extent of the atlas",
                )
            )
        figure.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(0.005, share_of_height(figure, 6.2)),
            ncols=len(handles),
            frameon=False,
            fontsize=6.5,
            handlelength=1.4,
            columnspacing=1.2,
            borderaxespad=0.0,
            borderpad=0.1,
        )
        add_credit(figure, credit)
        return saved(figure, image)


def _map_axes(frame: carto.Frame, width_mm: float, foot_mm: float = 17.5) -> tuple[Figure, Axes]:
    """Figure whose map fills the whole width, with room for the legend and the credit below."""
    edge_mm = 0.6
    map_width_mm = width_mm - 2 * edge_mm
    map_height_mm = map_width_mm / frame.aspect
    height_mm = map_height_mm + foot_mm + edge_mm
    figure = carto.new_figure(width_mm, height_mm)
    axes = figure.add_axes(
        (edge_mm / width_mm, foot_mm / height_mm, map_width_mm / width_mm, map_height_mm / height_mm)
    )
    return figure, axes


def _legend_below(figure: Figure, drawn: Any, label: str, empty_label: str) -> None:
    """Colour bar with the quantity and its unit, and a swatch for cells without a value."""
    width_mm = figure.get_size_inches()[0] * carto.MM_PER_INCH
    bar_width = 0.60 if width_mm > 120 else 0.56
    left = 3.0 / width_mm  # room for half a tick label
    bar = figure.add_axes((left, share_of_height(figure, 10.2), bar_width, share_of_height(figure, 2.4)))
    colours = figure.colorbar(drawn, cax=bar, orientation="horizontal")
    colours.outline.set_linewidth(0.4)
    bar.tick_params(labelsize=6.5, length=2, pad=1.5)
    if isinstance(drawn.norm, LogNorm):
        low, high = drawn.get_clim()
        decades = float(np.log10(high / low))
        subs = (1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)
        bar.xaxis.set_major_locator(LogLocator(subs=subs, numticks=7))
        bar.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}".replace(",", " ")))
        bar.xaxis.set_minor_formatter(NullFormatter())
    elif width_mm < 120:
        bar.xaxis.set_major_locator(MaxNLocator(5))
    figure.text(left, share_of_height(figure, 13.3), label, fontsize=7.2, va="bottom")
    figure.legend(
        handles=[
            Patch(
                facecolor="white" if empty_label else carto.LAND_COLOUR,
                edgecolor=carto.BORDER_COLOUR,
                label=empty_label or "no prediction",
            )
        ],
        loc="lower right",
        bbox_to_anchor=(0.99, share_of_height(figure, 9.8)),
        frameon=False,
        fontsize=6.5,
        handlelength=1.4,
        borderaxespad=0.0,
        borderpad=0.1,
    )


def value_norm(values: np.ndarray, logarithmic: bool = False) -> Any:
    """Scale of colours from the lowest to the highest value, or by powers of ten; NaN does not count."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if logarithmic:
        low = max(low, 1.0)
        return LogNorm(low, max(high, low * 1.0001 if low < high else low * 10.0), clip=True)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    return Normalize(low, high, clip=True)


def add_credit(figure: Figure, credit: str) -> None:
    """Sources in small type at the foot, cut into lines that fit the figure."""
    width_mm = figure.get_size_inches()[0] * carto.MM_PER_INCH
    per_line = int(width_mm * 0.98)
    lines = _wrapped(credit, per_line)[:2]
    figure.text(
        0.006,
        share_of_height(figure, 0.5),
        "\n".join(lines),
        fontsize=5.2,
        color=carto.MUTED_COLOUR,
        va="bottom",
        linespacing=1.15,
    )


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width=width, max_lines=2, placeholder=" …") or [""]


def share_of_height(figure: Figure, height_mm: float) -> float:
    """Height in millimetres as a share of the figure's height."""
    return height_mm / (figure.get_size_inches()[1] * carto.MM_PER_INCH)
