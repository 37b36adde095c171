"""Geometries with an index for many tests against them."""

from __future__ import annotations

import shapely


def prepared_copy(geometry: shapely.Geometry) -> shapely.Geometry:
    """A copy of a geometry, indexed for many `contains` and `intersects` (`shapely.prepare`).

    The index changes while it is used, and two threads that use one crash the process. Geometries are shared
    (a place is read by every session of a server), so whoever wants an index makes a copy for itself.
    """
    own = shapely.set_srid(geometry, shapely.get_srid(geometry))
    shapely.prepare(own)
    return own
