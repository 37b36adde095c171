"""Files are whole or absent, and what the disk refuses is said in our words."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sdm_core import writing
from sdm_core.errors import ExportError, NotWritableError
from sdm_core.writing import check_writable, write_whole, written_aside


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path):
    path = tmp_path / "deep" / "notes.txt"
    write_whole(path, "älter")
    write_whole(path, b"newer")
    assert path.read_bytes() == b"newer"
    assert [entry.name for entry in path.parent.iterdir()] == ["notes.txt"]


def test_the_name_aside_is_hidden_and_keeps_the_suffix(tmp_path: Path):
    with written_aside(tmp_path / "map.tif") as aside:
        assert (aside.parent, aside.suffix, aside.name[0]) == (tmp_path, ".tif", ".")
        aside.write_bytes(b"x")
    assert (tmp_path / "map.tif").read_bytes() == b"x"


def test_who_lists_files_by_their_ending_never_meets_one_that_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    met: list[str] = []
    write_bytes = Path.write_bytes

    def look(path: Path, content: bytes) -> int:
        n_bytes = write_bytes(path, content)
        met.extend(found.name for found in tmp_path.glob("*.json"))
        return n_bytes

    monkeypatch.setattr(Path, "write_bytes", look)
    writing.write_whole(tmp_path / "note.json", "{}")
    assert met == [] and [path.name for path in tmp_path.iterdir()] == ["note.json"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_fails_in_the_block_leaves_the_old_file_and_nothing_aside(tmp_path: Path, kind: str):
    path = tmp_path / "notes.txt"
    path.write_text("old")

    def fail() -> None:
        with written_aside(path) as aside:
            if kind == "folder":
                aside.mkdir()
                aside = aside / "inside"
            aside.write_text("half")
            raise ValueError("this does not verify")

    with pytest.raises(ValueError, match="does not verify"):
        fail()
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("notes.txt", "old")]


def test_a_folder_that_was_written_aside_gets_its_name(tmp_path: Path):
    with written_aside(tmp_path / "cube.zarr") as aside:
        aside.mkdir()
        (aside / "zarr.json").write_text("{}")
    assert (tmp_path / "cube.zarr" / "zarr.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "no more space is allowed to you on this disk"),
        (errno.EROFS, "the disk can only be read"),
        (errno.EACCES, "you have no right to write there"),
        (errno.EIO, "the disk does not answer"),
        (errno.ELOOP, os.strerror(errno.ELOOP)),
    ],
)
def test_what_the_disk_refuses_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
):
    def refuse(_handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(writing.os, "fsync", refuse)
    with pytest.raises(NotWritableError) as caught:
        write_whole(tmp_path / "a.csv", "x")
    assert str(caught.value) == (
        f"{tmp_path / 'a.csv'} cannot be written ({said}); free some space there or choose another place."
    )
    assert not list(tmp_path.iterdir())


def test_places_that_are_no_files_are_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritableError, match=r"\(it is a folder\)"):
        write_whole(tmp_path, "x")
    with pytest.raises(ExportError, match=r"\(its folder is a file\); ask again\."):
        write_whole(tmp_path / "file" / "a.csv", "x", ExportError, "ask again")
    with pytest.raises(NotWritableError, match=r"\(its name is too long\)"):
        write_whole(tmp_path / ("x" * 300), "x")
    with pytest.raises(NotWritableError, match="null"):
        write_whole(tmp_path / "a\0b" / "c", "x")
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "file" / "a.csv", "x", error=None)
    with pytest.raises(NotWritableError, match=r"^Nothing can be written .* \(its folder is a file\); do"):
        check_writable(tmp_path / "file" / "out", "do")
    check_writable(tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())


def test_many_writers_of_one_file_leave_one_of_their_contents(tmp_path: Path):
    path = tmp_path / "one.txt"
    texts = [str(number) * 50_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: write_whole(path, text, lasting=False), texts))
    assert path.read_text() in texts
    assert [entry.name for entry in tmp_path.iterdir()] == ["one.txt"]
