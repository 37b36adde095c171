"""Several regions from one file: each feature is a region, named by one of its columns."""

from __future__ import annotations

import numbers
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import shapely

from sdm_core.errors import MissingCRSError, RegionError
from sdm_core.regions.gdal import crs_title
from sdm_core.regions.geometry import clean_name
from sdm_core.regions.outlines import NAME_COLUMNS, features_of
from sdm_core.regions.reading import bytes_of
from sdm_core.regions.region import Region, region_from_geometry, reproject

#: Features a file may have to be read as separate regions.
MAX_FEATURES = 2_000
#: Features named in a note.
_N_LISTED = 5


@dataclass(frozen=True)
class SeveralRegions:
    """The features of one file as regions.

    Attributes:
        source: name of the file.
        regions: one per feature with an area, in the order of the file; no two have the same name.
        column: column the names are from, "" where no column could give any.
        columns: columns names could be taken from.
        notes: what was left out, numbered or chosen, one sentence each.
    """

    source: str
    regions: tuple[Region, ...]
    column: str
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_regions(
    source: Path | str | bytes | BinaryIO,
    filename: str | None = None,
    crs: str | None = None,
    layer: str | None = None,
    name_column: str | None = None,
) -> SeveralRegions:
    """The regions of a vector file, one per feature.

    Features without an area (no geometry, points, outlines that cannot be repaired) are left out, and
    features of one name are numbered; notes say so. A feature without a name gets that of the file and its
    number.

    Args:
        source: path, bytes of an upload or an open binary file: GeoJSON, GeoPackage, KML, KMZ or zipped
            shapefile.
        filename: tells an upload's format by its suffix.
        crs: used instead of what the file says.
        layer: one of several in a GeoPackage or archive.
        name_column: column with the names; by default the likeliest one.

    Raises:
        RegionError: a file that cannot be read, has more than `MAX_FEATURES`, no feature with an area, or no
            such column; MissingCRSError and UnsafeArchiveError likewise.
    """
    data, title = bytes_of(source, filename)
    suffix = PurePosixPath(title).suffix.lower()
    features, declared, notes = features_of(data, title, suffix, crs, layer)
    if len(features) > MAX_FEATURES:
        raise RegionError(
            f"'{title}' holds {len(features):,} features, more than the {MAX_FEATURES:,} that are read as "
            "separate regions; keep only those you need."
        )
    columns = _name_columns([attributes for attributes, _ in features])
    column = _chosen_column(columns, title, name_column)
    stem = clean_name(PurePosixPath(title).stem)
    found: list[tuple[str, Region]] = []
    left_out: list[str] = []
    for number, (attributes, shapes) in enumerate(features, start=1):
        name = _text(attributes.get(column)) or f"{stem} {number}"
        try:
            moved = reproject(shapes, declared)
            whole = moved[0] if len(moved) == 1 else shapely.GeometryCollection(moved)
            region = region_from_geometry(whole, name, title, declared_crs=crs_title(declared))
        except MissingCRSError:
            raise
        except RegionError as error:
            reason = str(error) if shapes else "it has no geometry"
            left_out.append(f"“{clean_name(name)}” is left out: {reason}")
            continue
        found.append((clean_name(name), region))
    if not found:
        reason = f" {left_out[0]}" if left_out else ""
        raise RegionError(
            f"'{title}' holds no feature with an area;{reason or ' export the polygons again.'}"
        )
    repeated = {name: n for name, n in Counter(name for name, _ in found).items() if n > 1}
    said = [*notes, *_listed(left_out), *_numbered_note(repeated)]
    return SeveralRegions(title, _with_unlike_names(found, repeated), column, columns, tuple(said))


def _name_columns(features: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Columns that may hold names, the likeliest first: called so, or with as many texts as features."""
    columns = dict.fromkeys(name for attributes in features for name in attributes)
    ranked = []
    for place, column in enumerate(columns):
        values = [attributes.get(column) for attributes in features]
        texts = {_text(value) for value in values if isinstance(value, str)} - {""}
        whole = {int(value) for value in values if isinstance(value, numbers.Integral)}
        if not texts and len(whole) < len(features):
            continue
        called = column.lower()
        exact = NAME_COLUMNS.index(called) if called in NAME_COLUMNS else len(NAME_COLUMNS)
        ranked.append((not texts, exact, "nam" not in called, -len(texts), place, column))
    return tuple(column for *_, column in sorted(ranked))


def _chosen_column(columns: tuple[str, ...], title: str, wanted: str | None) -> str:
    if wanted is None:
        return columns[0] if columns else ""
    matching = [name for name in columns if name == wanted]
    matching += [name for name in columns if name.lower() == wanted.lower()]
    if matching:
        return matching[0]
    has = ", ".join(f"'{name}'" for name in columns[:_N_LISTED]) or "none"
    raise RegionError(
        f"'{title}' has no column of names '{clean_name(wanted)}'; columns that may hold names: {has}."
    )


def _text(value: Any) -> str:
    """A value as a name; "" for a missing one (None or NaN)."""
    return "" if value is None or value != value else str(value).strip()


def _with_unlike_names(found: list[tuple[str, Region]], repeated: Mapping[str, int]) -> tuple[Region, ...]:
    taken = {name for name, _ in found}
    counts: Counter[str] = Counter()
    regions = []
    for name, region in found:
        if name in repeated:
            counts[name] += 1
            while (numbered := f"{name} ({counts[name]})") in taken:
                counts[name] += 1
            name = numbered
        regions.append(region.renamed(name))
    return tuple(regions)


def _numbered_note(repeated: Mapping[str, int]) -> list[str]:
    if not repeated:
        return []
    named = [f"“{name}” ({n} times)" for name, n in list(repeated.items())[:_N_LISTED]]
    more = len(repeated) - len(named)
    return [
        f"Several features have the same name and are numbered: {', '.join(named)}"
        + (f" and {more} more." if more else ".")
    ]


def _listed(sentences: list[str]) -> list[str]:
    """The first of many sentences, and how many more there are."""
    more = len(sentences) - _N_LISTED
    return sentences[:_N_LISTED] + ([f"{more:,} more features are left out likewise."] if more > 0 else [])
