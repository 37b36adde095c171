"""Names and units of covariates that are used again and again."""

from __future__ import annotations

import re

#: WorldClim 2 bioclimatic variables: bio1–11 temperature, bio12–19 precipitation (Fick & Hijmans 2017,
#: doi:10.1002/joc.5086; worldclim.org/data/bioclim.html). bio3 is bio2 / bio7 × 100, bio4 the standard
#: deviation × 100, bio15 a coefficient of variation.
WORLDCLIM_UNITS: dict[str, str] = {
    **dict.fromkeys(("bio1", "bio2", "bio5", "bio6", "bio7", "bio8", "bio9", "bio10", "bio11"), "°C"),
    "bio3": "%",
    "bio4": "°C × 100",
    **dict.fromkeys(("bio12", "bio13", "bio14", "bio16", "bio17", "bio18", "bio19"), "mm"),
    "bio15": "%",
    "elev": "m",
    "elevation": "m",
    "alt": "m",
}
#: WorldClim 1.4 and its relatives store temperatures as whole tenths of a degree, so that bio4
#: is ten times that of WorldClim 2.
TENTHS_UNITS: dict[str, str] = {
    name: {"°C": "°C × 10", "°C × 100": "°C × 1000"}.get(unit, unit) for name, unit in WORLDCLIM_UNITS.items()
}
#: Layers of the European predictors on 1/6° beside bioclim.
OTHER_UNITS: dict[str, str] = {
    "diversidad_topo": "index",
    "human_footprint": "index",
    "landcover_veg_bare": "%",
    "landcover_veg_herb": "%",
    "landcover_veg_tree": "%",
    "ndvi_average": "1",
    "ndvi_maximum": "1",
    "ndvi_minimum": "1",
    "ndvi_range": "1",
    "topo_slope": "°",
}

_BIO = re.compile(r"(?:^|[_\-. ])bio[_\-]?0*(\d{1,2})(?=$|[_\-. ])", re.IGNORECASE)
_WORLDCLIM_OTHER = re.compile(
    r"^wc2\.\d_\w+?_(elev|prec|srad|tavg|tmax|tmin|vapr|wind)(?:_(\d+))?$", re.IGNORECASE
)
_WORLDCLIM_MONTHLY = {
    "prec": "mm",
    "srad": "kJ m⁻² day⁻¹",
    "tavg": "°C",
    "tmax": "°C",
    "tmin": "°C",
    "vapr": "kPa",
    "wind": "m s⁻¹",
}


def layer_name(text: str) -> str:
    """A short name from a band description or file stem: `wc2.1_10m_bio_12` and `BIO12` are both `bio12`."""
    text = text.strip()
    found = _BIO.search(text)
    if found and 1 <= int(found.group(1)) <= 19:
        return f"bio{int(found.group(1))}"
    other = _WORLDCLIM_OTHER.match(text)
    if other:
        return other.group(1).lower() + (f"_{other.group(2)}" if other.group(2) else "")
    return text


def unit_of(name: str, tenths: bool = False) -> str:
    """The unit of a known layer, "" for others; `tenths`: temperatures are stored × 10."""
    table = TENTHS_UNITS if tenths else WORLDCLIM_UNITS
    monthly = _WORLDCLIM_MONTHLY.get(name.split("_")[0], "") if re.fullmatch(r"[a-z]+(_\d+)?", name) else ""
    return table.get(name) or OTHER_UNITS.get(name) or monthly
