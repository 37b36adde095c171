"""What the short names of predictors stand for, in words."""

from __future__ import annotations

#: Predictors whose short names say little.
_BIOCLIM = (
    "mean temperature of the year", "daily range of temperature", "isothermality",
    "seasonality of temperature",
    "highest temperature of the warmest month", "lowest temperature of the coldest month",
    "yearly range of temperature", "temperature of the wettest quarter", "temperature of the driest quarter",
    "temperature of the warmest quarter", "temperature of the coldest quarter", "precipitation of the year",
    "precipitation of the wettest month", "precipitation of the driest month", "seasonality of precipitation",
    "precipitation of the wettest quarter", "precipitation of the driest quarter",
    "precipitation of the warmest quarter", "precipitation of the coldest quarter",
)  # fmt: skip
_WORDS = {
    "diversidad_topo": "diversity of topography",
    "topo_slope": "slope",
    "human_footprint": "human footprint",
    "landcover_veg_bare": "cover of bare ground",
    "landcover_veg_herb": "cover of herbs",
    "landcover_veg_tree": "cover of trees",
    "elev": "elevation",
}
#: Measured as average, maximum, minimum and range over the year.
_OVER_THE_YEAR = {"ndvi": "greenness of the vegetation", "sun_rad": "solar radiation"}
_PARTS = {"average": "mean", "maximum": "highest", "minimum": "lowest", "range": "yearly range of"}


def predictor_words(name: str) -> str:
    """A predictor in words, with its name where the words are not the name; unknown names as they are.

    `bio12` (WorldClim) is "precipitation of the year (bio12)", `sun_rad_range` "yearly range of solar
    radiation (sun_rad_range)", `soil_ph` "soil ph".
    """
    number = name.removeprefix("bio")
    quantity, _, part = name.rpartition("_")
    if name.startswith("bio") and number.isdigit() and 1 <= int(number) <= len(_BIOCLIM):
        words = _BIOCLIM[int(number) - 1]
    elif quantity in _OVER_THE_YEAR and part in _PARTS:
        words = f"{_PARTS[part]} {_OVER_THE_YEAR[quantity]}"
    else:
        words = _WORDS.get(name, name.replace("_", " "))
    plain = name.replace("_", " ")
    return words if words == plain else f"{words} ({name})"
