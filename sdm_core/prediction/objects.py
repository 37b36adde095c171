"""A folder of small files at any address: written at once or not at all, on disk, in memory, S3 or HTTP.

On disk every file is written aside, flushed to the disk, and renamed, so that a reader or a power cut never
meets half of one. Object stores put whole objects by nature. HTTP addresses are read only, without listing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from sdm_core.errors import CorruptStoreError, NotWritableError
from sdm_core.writing import reason_of, write_whole

_READ_ONLY = {"http", "https"}
_ON_DISK = {"file", "local"}


class ObjectFolder:
    """Files below one address; names are relative, with `/`. Can be pickled and used by many processes."""

    def __init__(self, address: str | Path, storage_options: Mapping[str, Any] | None = None):
        self.address = str(address).rstrip("/") or "/"
        self.storage_options = dict(storage_options or {})

    def __repr__(self) -> str:
        return f"ObjectFolder({self.address!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"address": self.address, "storage_options": self.storage_options}

    @property
    def protocol(self) -> str:
        """First part of the address: `file` for a path, else `s3`, `memory`, `https` and the like."""
        head, separator, _ = self.address.partition("://")
        return head.split("::")[-1] if separator else "file"

    @property
    def read_only(self) -> bool:
        """Whether the address can be read but neither written nor listed."""
        return self.protocol in _READ_ONLY

    @cached_property
    def path(self) -> Path | None:
        """The folder on disk, or None for any other address."""
        return Path(self.address.removeprefix(f"{self.protocol}://")) if self.protocol in _ON_DISK else None

    @cached_property
    def _remote(self) -> tuple[Any, str]:
        """File system and root of an address that is not a folder on disk."""
        import fsspec

        try:
            file_system, root = fsspec.core.url_to_fs(self.address, **self.storage_options)
        except (ImportError, ValueError) as error:
            raise CorruptStoreError(
                f"{self.address} cannot be opened ({str(error).rstrip('.')}); give a folder or an address "
                "such as s3://bucket/atlas or https://host/atlas"
            ) from error
        return file_system, str(root).rstrip("/")

    def below(self, name: str) -> ObjectFolder:
        """The folder of this name inside this one."""
        return ObjectFolder(f"{self.address}/{name}", self.storage_options)

    def get(self, name: str) -> bytes | None:
        """Content of a file, or None where there is none; raises `OSError` where it cannot be read."""
        if self.path is not None:
            try:
                return (self.path / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None
        file_system, root = self._remote
        try:
            content: bytes = file_system.cat_file(f"{root}/{name}")
        except FileNotFoundError:
            return None
        except OSError:
            raise
        except Exception as error:  # each file system has its own errors for a server that does not answer
            raise OSError(f"{self.address}/{name}: {error}") from error
        return content

    def get_many(self, names: list[str]) -> dict[str, bytes]:
        """Content of several files at once; those that do not exist are left out."""
        if self.path is not None:
            found = {name: self.get(name) for name in names}
            return {name: content for name, content in found.items() if content is not None}
        file_system, root = self._remote
        paths = {f"{root}/{name}": name for name in names}
        contents = file_system.cat(list(paths), on_error="return") if paths else {}
        if isinstance(contents, bytes):
            contents = {next(iter(paths)): contents}
        for path, content in contents.items():
            if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                raise OSError(f"{path}: {content}") from content
        by_tail = {path.strip("/"): content for path, content in contents.items()}
        found = {name: by_tail.get(path.strip("/")) for path, name in paths.items()}
        return {name: content for name, content in found.items() if isinstance(content, bytes)}

    def put(self, name: str, content: bytes) -> None:
        """Write a file whole; raises `NotWritableError` (no right, disk full), leaving nothing behind."""
        if self.read_only:
            raise NotWritableError(
                f"{self.address} can be read but not written; give a folder or an s3:// address"
            )
        try:
            if self.path is not None:
                write_whole(self.path / name, content, error=None)
            else:
                file_system, root = self._remote
                file_system.pipe_file(f"{root}/{name}", content)
        except NotWritableError:
            raise
        except Exception as error:  # each file system has its own errors for a full or closed place
            raise NotWritableError(
                f"{self.address}/{name} cannot be written ({reason_of(error)}); free some space there, or "
                "give another place"
            ) from error

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if self.path is not None:
                (self.path / name).unlink()
            else:
                file_system, root = self._remote
                file_system.rm_file(f"{root}/{name}")

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, from one listing; half-written files (leading dot) left out."""
        if self.path is not None:
            try:
                found = os.listdir(self.path / folder)  # noqa: PTH208 - names alone, no object for each
            except (FileNotFoundError, NotADirectoryError):
                return []
        else:
            file_system, root = self._remote
            file_system.invalidate_cache()
            try:
                found = [
                    PurePosixPath(path).name for path in file_system.ls(f"{root}/{folder}", detail=False)
                ]
            except FileNotFoundError:
                return []
        return [name for name in found if not name.startswith(".")]
