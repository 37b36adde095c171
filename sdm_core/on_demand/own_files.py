"""Files a user adds to the question about a region: status lists, synonyms, records, outlines.

They travel from an interface to the process of a job beside its request, and are gone once it is done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdm_core.observed import Records
    from sdm_core.occurrences.plots import CoverScale
    from sdm_core.regions import Outlines
    from sdm_core.statuses import StatusFile

_OPTIONS = ("records_crs", "cover_scale", "name_column", "compare_crs")


@dataclass(frozen=True)
class OwnFile:
    """A file by its name, and its content."""

    name: str
    content: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of its content."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class OwnFiles:
    """What a user adds, as sent.

    Attributes:
        status_lists: status lists; synonyms: table of synonyms for their taxa.
        records: records or plots; records_crs and cover_scale: how they are read (`observed.read_records`).
        compare_with: named outlines; name_column, compare_crs: how they are read (`regions.read_outlines`).
    """

    status_lists: tuple[OwnFile, ...] = ()
    synonyms: OwnFile | None = None
    records: tuple[OwnFile, ...] = ()
    compare_with: OwnFile | None = None
    records_crs: str | None = None
    cover_scale: CoverScale | None = None
    name_column: str | None = None
    compare_crs: str | None = None

    def __bool__(self) -> bool:
        return bool(self.files)

    @property
    def files(self) -> dict[str, OwnFile]:
        """Every file by the name it is kept under beside the request of a job."""
        single = {"synonyms": self.synonyms, "compare_with": self.compare_with}
        return {
            **{f"status_lists-{number}": file for number, file in enumerate(self.status_lists)},
            **{f"records-{number}": file for number, file in enumerate(self.records)},
            **{name: file for name, file in single.items() if file is not None},
        }

    @property
    def key(self) -> list[Any]:
        """Everything that decides what they say, JSON-ready: names and hashes of the files, options."""
        named = [[kept, file.name, file.digest] for kept, file in self.files.items()]
        return [named, [getattr(self, name) for name in _OPTIONS]]

    def read(self) -> OwnData:
        """What the files hold.

        Raises:
            StatusListError, OccurrenceError, MissingCRSError, RegionError: a file that is not what it should
                be; the sentence names it.
        """
        from sdm_core.observed import read_records
        from sdm_core.regions import read_outlines
        from sdm_core.statuses import read_statuses, read_synonyms

        synonyms = None if self.synonyms is None else read_synonyms(self.synonyms.content, self.synonyms.name)
        records = [(file.name, file.content) for file in self.records]
        compared = self.compare_with
        return OwnData(
            tuple(read_statuses(file.content, file.name, synonyms) for file in self.status_lists),
            read_records(records, crs=self.records_crs, cover_scale=self.cover_scale) if records else None,
            None
            if compared is None
            else read_outlines(compared.content, compared.name, self.name_column, self.compare_crs),
        )

    def to_payload(self) -> dict[str, Any]:
        """What the request of a job says of them, to be read by `of_payload`; nothing without a file."""
        if not self:
            return {}
        given = {name: getattr(self, name) for name in _OPTIONS if getattr(self, name) is not None}
        return {"own_files": {kept: file.name for kept, file in self.files.items()}, **given}

    @classmethod
    def of_payload(cls, payload: Mapping[str, Any], content: Callable[[str], bytes]) -> OwnFiles:
        """The files a request speaks of; `content` gives that of a file by the name it is kept under."""
        found = {kept: OwnFile(name, content(kept)) for kept, name in payload.get("own_files", {}).items()}

        def several(part: str) -> tuple[OwnFile, ...]:
            return tuple(file for kept, file in found.items() if kept.rpartition("-")[0] == part)

        return cls(
            several("status_lists"),
            found.get("synonyms"),
            several("records"),
            found.get("compare_with"),
            **{name: payload[name] for name in _OPTIONS if name in payload},
        )


@dataclass(frozen=True)
class OwnData:
    """What the files of a user hold, read and found right."""

    statuses: tuple[StatusFile, ...] = ()
    records: Records | None = None
    outlines: Outlines | None = None
