"""Limits of the programming interface: how much, how long, how often; the environment may change them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

from sdm_core.errors import ConfigurationError

_PREFIX = "FLORASCOPE_API_"


@dataclass(frozen=True)
class ApiSettings:
    """Limits of one running interface; `FLORASCOPE_API_<FIELD>` in the environment sets a field."""

    #: Largest body of a request, in bytes.
    max_body_bytes: int = 5_000_000
    #: Deepest nesting of JSON that is read.
    max_json_depth: int = 24
    #: Polygons, holes included, one region may be made of.
    max_rings: int = 20_000
    #: Seconds a body may take to arrive, and an answer to be worked out.
    max_seconds: float = 20.0
    #: Region queries worked on at once, and waiting.
    region_slots: int = 2
    region_waiting: int = 100
    #: Tiles drawn at once, and waiting.
    tile_slots: int = 3
    tile_waiting: int = 600
    #: Points a client earns a second, and may save up; a tile costs one, a region ten. 0 a second: no limit.
    rate: float = 60.0
    burst: float = 1200.0
    #: Proxies in front of the server whose X-Forwarded-For is believed; 0 believes none.
    trusted_proxies: int = 0
    #: Bytes kept of pixel indices and layers of tiles, and of answers about regions.
    tile_cache_bytes: int = 96_000_000
    answer_cache_bytes: int = 24_000_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name in ("rate", "trusted_proxies", "region_waiting", "tile_waiting") else 1
            if not least <= value < float("inf"):
                raise ConfigurationError(
                    f"{_PREFIX}{field.name.upper()} is {value}, expected a number of {least} or more."
                )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> ApiSettings:
        """The defaults with what the environment sets.

        Raises:
            ConfigurationError: a value that is no number, or too small.
        """
        given = os.environ if environment is None else environment
        values: dict[str, float | int] = {}
        for field in fields(cls):
            text = given.get(f"{_PREFIX}{field.name.upper()}", "").strip()
            if not text:
                continue
            whole = isinstance(field.default, int)
            try:
                values[field.name] = int(text) if whole else float(text)
            except ValueError as error:
                kind = "a whole number" if whole else "a number"
                raise ConfigurationError(
                    f"{_PREFIX}{field.name.upper()} is {text!r}, expected {kind}."
                ) from error
        return cls(**values)  # type: ignore[arg-type]
