"""What all addresses of one running interface share."""

from __future__ import annotations

from dataclasses import dataclass

from sdm_core.api.caches import ByteCache
from sdm_core.api.settings import ApiSettings
from sdm_core.api.shelf import AtlasShelf
from sdm_core.api.tiles import TileArtist
from sdm_core.api.work import WorkRoom

#: Every address below the mount begins with it; another major version would be another prefix.
VERSION_PREFIX = "/v1"


@dataclass(frozen=True)
class ApiContext:
    """Settings, open atlases, the tile artist, kept answers, and the threads work is done in."""

    settings: ApiSettings
    shelf: AtlasShelf
    artist: TileArtist
    answers: ByteCache
    region_room: WorkRoom
    tile_room: WorkRoom

    @classmethod
    def of(cls, settings: ApiSettings) -> ApiContext:
        """A fresh context with these limits."""
        return cls(
            settings=settings,
            shelf=AtlasShelf(),
            artist=TileArtist(settings.tile_cache_bytes),
            answers=ByteCache(settings.answer_cache_bytes),
            region_room=WorkRoom(
                "api-region", settings.region_slots, settings.region_waiting, settings.max_seconds
            ),
            tile_room=WorkRoom("api-tile", settings.tile_slots, settings.tile_waiting, settings.max_seconds),
        )
