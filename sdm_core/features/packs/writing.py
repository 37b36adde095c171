"""Writing a pack: aside, resumable, verified, then renamed."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from filelock import FileLock
from scipy import sparse

from sdm_core.errors import PackError
from sdm_core.features.packs.blocks import Progress, rewrite, with_nan, write_modality
from sdm_core.features.packs.reading import FORMAT, Pack, file_sha256, read_info
from sdm_core.features.packs.sources import PatchSource, source_identities
from sdm_core.writing import write_whole

MissingRule = Literal["refuse", "nan", "drop"]
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NAMED = 20
_log = logging.getLogger(__name__)


def write_pack(
    folder: Path,
    sources: Sequence[PatchSource],
    sites: pd.DataFrame,
    labels: sparse.csr_matrix | np.ndarray,
    species: Sequence[str],
    *,
    missing: MissingRule = "refuse",
    dtypes: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Pack:
    """A pack of modalities, sites and labels in `folder`, opened; the same content is not packed twice.

    Types are kept (pictures stay uint8) unless `dtypes` says otherwise; "float16" halves cubes, with the
    greatest rounding error written to `pack.json` (relative 2⁻¹¹: 8 at 20,000, none for whole numbers up to
    2,048). Work goes on in `<folder>.partial` where it was stopped, as long as sources, sites, labels and
    settings are the same; each file is read back and its checksum compared before the folder gets its name.

    Args:
        folder: where the pack goes; must not exist, or hold this very pack, unless `overwrite`.
        sources: one per modality, each as long as `sites`.
        sites: site, longitude, latitude, and more.
        labels: (n_sites, n_species), 1 recorded and 0 not.
        species: one name per column.
        missing: sites with an absent or broken file: "refuse" them all, with their number and names; "nan"
            marks their values NaN (uint8 then becomes float16, which holds 0-255 exactly, other whole numbers
            float32); "drop" leaves those sites out. They are never zero.
        dtypes: name of the modality → type to store.
        overwrite: replace what is in `folder`.

    Raises:
        PackError: for parts that do not fit, missing files under "refuse", a folder that holds something
            else, and a full disk; nothing is left behind then.
    """
    folder = Path(folder)
    labels = _checked(sources, sites, labels, species, missing)
    targets = _target_types(sources, dtypes or {})
    identities = source_identities(sources)
    decided = {"missing": missing, "dtypes": {name: str(dtype) for name, dtype in targets.items()}}
    key = _key(identities, decided, _parquet(sites), labels, species)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Several processes may ask for the same pack; the first writes it and the others open it.
        with FileLock(folder.parent / f".{folder.name}.lock"):
            if folder.exists() and not overwrite:
                if _holds(folder, key):
                    return Pack.open(folder)
                raise PackError(
                    f"{folder} already holds something else than this pack; give another folder, or "
                    "remove it first (overwrite=True from Python)."
                )
            gone = {source.name: source.absent() for source in sources}
            if missing == "refuse":
                _refuse(gone)
            elif missing == "nan":
                targets |= {name: with_nan(targets[name]) for name, rows in gone.items() if rows}
            _pack_aside(folder, key, sources, targets, sites, labels, species, missing)
    except OSError as error:
        if error.errno in _FULL:
            raise PackError(
                f"The disk is full: {folder} could not be packed and nothing was left behind; free some "
                "space or choose a folder on another disk."
            ) from error
        raise PackError(
            f"{folder} cannot be packed ({error.strerror or error}); check the folder."
        ) from error
    return Pack.open(folder)


def _pack_aside(
    folder: Path,
    key: str,
    sources: Sequence[PatchSource],
    targets: Mapping[str, np.dtype[Any]],
    sites: pd.DataFrame,
    labels: sparse.csr_matrix,
    species: Sequence[str],
    missing: MissingRule,
) -> None:
    """Write everything into `<folder>.partial` and rename it; a refusal or a full disk leaves nothing."""
    partial = folder.with_name(folder.name + ".partial")
    try:
        _prepare(partial, key)
        _refuse_small_disk(partial, sources, targets)
        written = {source.name: write_modality(partial, source, targets[source.name]) for source in sources}
        bad = {name: progress.missing for name, progress in written.items()}
        if missing == "refuse":
            _refuse(bad)
        dropped: list[int] = []
        parquet = _parquet(sites)
        if missing == "drop" and any(bad.values()):
            dropped = sorted({row for rows in bad.values() for row in rows})
            labels, sites, parquet = _without(partial, dropped, sites, labels, written)
        elif missing == "nan":
            _mark_missing(partial, written)
        info = _finish(partial, sources, written, parquet, labels, species)
        info |= {"key": key, "rule_for_missing": missing, "n_sites": len(sites), "n_dropped": len(dropped)}
        write_whole(partial / "pack.json", json.dumps(info, indent=1, ensure_ascii=False), error=None)
        for leftover in partial.glob("*.progress.json"):
            leftover.unlink()
        (partial / "plan.json").unlink()
        _rename(partial, folder)
    except PackError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    except OSError as error:
        if error.errno in _FULL:
            shutil.rmtree(partial, ignore_errors=True)
        raise


def _checked(
    sources: Sequence[PatchSource],
    sites: pd.DataFrame,
    labels: sparse.csr_matrix | np.ndarray,
    species: Sequence[str],
    missing: str,
) -> sparse.csr_matrix:
    """The labels as canonical uint8 CSR, once everything fits together."""
    if missing not in ("refuse", "nan", "drop"):
        raise PackError(f"The rule for missing files is '{missing}'; use 'refuse', 'nan' or 'drop'.")
    if not len(sites):
        raise PackError("There are no sites to pack.")
    names = [source.name for source in sources]
    if not names or len(set(names)) != len(names) or not all(name.isidentifier() for name in names):
        raise PackError(
            f"The modalities are named {names}; each needs a plain name of its own, such as 'landsat'."
        )
    for source in sources:
        if len(source) != len(sites):
            raise PackError(f"The modality '{source.name}' has {len(source)} rows for {len(sites)} sites.")
    absent = [name for name in ("site", "longitude", "latitude") if name not in sites]
    if absent:
        raise PackError(f"The sites have no column {absent[0]}; they need site, longitude and latitude.")
    labels = sparse.csr_matrix(labels)
    if labels.shape != (len(sites), len(species)):
        raise PackError(
            f"Labels of shape {labels.shape} do not fit {len(sites)} sites and {len(species)} species."
        )
    if labels.nnz and not np.isin(labels.data, (0, 1)).all():
        raise PackError("Labels of a pack are 0 or 1; keep marks such as 'unknown' beside the pack.")
    labels = labels.astype(np.uint8)
    labels.eliminate_zeros()
    labels.sort_indices()
    return labels


def _target_types(sources: Sequence[PatchSource], dtypes: Mapping[str, str]) -> dict[str, np.dtype[Any]]:
    """The type each modality is stored in."""
    unknown = sorted(set(dtypes) - {source.name for source in sources})
    if unknown:
        raise PackError(f"There is no modality '{unknown[0]}' to store as {dtypes[unknown[0]]}.")
    targets = {}
    for source in sources:
        default = np.dtype(np.float32) if source.dtype.kind == "f" else source.dtype
        target = np.dtype(dtypes.get(source.name, default))
        if not np.can_cast(source.dtype, target, "same_kind"):
            raise PackError(f"'{source.name}' has values of {source.dtype}, which {target} cannot hold.")
        targets[source.name] = target
    return targets


def _key(
    identities: Mapping[str, Any],
    decided: Mapping[str, Any],
    parquet: bytes,
    labels: sparse.csr_matrix,
    species: Sequence[str],
) -> str:
    """Hash of everything that decides the content."""
    digest = hashlib.sha256()
    parts = {"format": FORMAT, "sources": identities, "settings": decided, "species": list(species)}
    digest.update(json.dumps(parts, sort_keys=True).encode())
    digest.update(parquet)
    digest.update(labels.indptr.astype(np.int64).tobytes() + labels.indices.astype(np.int64).tobytes())
    return digest.hexdigest()


def _holds(folder: Path, key: str) -> bool:
    try:
        return bool(read_info(folder).get("key") == key)
    except PackError:
        return False


def _refuse(missing: Mapping[str, Mapping[int, str]]) -> None:
    """Stop when a file is missing, saying how many and which."""
    found = {name: rows for name, rows in missing.items() if rows}
    if not found:
        return
    counts = ", ".join(f"{len(rows)} of '{name}'" for name, rows in found.items())
    first = [reason for rows in found.values() for reason in rows.values()][:3]
    raise PackError(
        f"Sites without readable files: {counts} ({'; '.join(first)}{', …' if len(first) == 3 else ''}); get "
        "the files, or pack with missing='nan' or missing='drop'."
    )


def _prepare(partial: Path, key: str) -> None:
    """The folder aside, emptied unless it holds the beginning of this very pack."""
    plan = partial / "plan.json"
    if partial.exists():
        try:
            same = json.loads(plan.read_text(encoding="utf-8"))["key"] == key
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if same:
            _log.info("Packing goes on in %s", partial)
            return
        _log.info("%s holds the beginning of another pack and is begun anew", partial)
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    write_whole(plan, json.dumps({"key": key}), error=None)


def _refuse_small_disk(
    partial: Path, sources: Sequence[PatchSource], targets: Mapping[str, np.dtype[Any]]
) -> None:
    """Stop before the work when the arrays cannot fit on the disk."""
    needed = sum(
        len(source) * int(np.prod(source.shape, dtype=np.int64)) * targets[source.name].itemsize
        for source in sources
    )
    needed -= sum(path.stat().st_size for path in partial.glob("*.npy"))
    free = shutil.disk_usage(partial).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"{needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free")


def _mark_missing(partial: Path, written: dict[str, Progress]) -> None:
    """NaN in the rows of broken files, where the type met no NaN before."""
    for name, progress in written.items():
        if progress.missing and progress.dtype.kind != "f":
            progress.dtype = with_nan(progress.dtype)
            rows = np.arange(progress.rows)
            progress.sha256 = rewrite(partial / f"{name}.npy", rows, progress.dtype, set(progress.missing))


def _without(
    partial: Path,
    dropped: list[int],
    sites: pd.DataFrame,
    labels: sparse.csr_matrix,
    written: dict[str, Progress],
) -> tuple[sparse.csr_matrix, pd.DataFrame, bytes]:
    """Labels, sites and files without the dropped rows."""
    keep = np.setdiff1d(np.arange(len(sites)), dropped)
    if not len(keep):
        raise PackError(f"None of the {len(sites)} sites has all its files; nothing is left to pack.")
    sites = sites.iloc[keep].reset_index(drop=True)
    for name, progress in written.items():
        progress.sha256 = rewrite(partial / f"{name}.npy", keep, progress.dtype, set())
    return sparse.csr_matrix(labels[keep]), sites, _parquet(sites)


def _finish(
    partial: Path,
    sources: Sequence[PatchSource],
    written: Mapping[str, Progress],
    parquet: bytes,
    labels: sparse.csr_matrix,
    species: Sequence[str],
) -> dict[str, Any]:
    """Write sites and labels, read every file back, and describe them all."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        indices=labels.indices.astype(np.int32),
        indptr=labels.indptr.astype(np.int64),
        species=np.array(list(species), dtype=str),
    )
    expected = {f"{name}.npy": progress.sha256 for name, progress in written.items()}
    for filename, content in (("labels.npz", buffer.getvalue()), ("sites.parquet", parquet)):
        write_whole(partial / filename, content, error=None)
        expected[filename] = hashlib.sha256(content).hexdigest()
    files = {}
    for filename, sha256 in expected.items():
        path = partial / filename
        if file_sha256(path) != sha256:
            raise PackError(f"{filename} reads back differently from what was written; check the disk.")
        files[filename] = {"bytes": path.stat().st_size, "sha256": sha256}
    modalities = {}
    for source in sources:
        progress = written[source.name]
        modalities[source.name] = {
            "shape": list(source.shape),
            "dtype": str(progress.dtype),
            "channels": list(source.channels),
            "max_rounding_error": progress.max_rounding_error,
            "n_nan_values": progress.n_nan,
            "n_missing_sites": len(progress.missing),
            "missing_sites": list(progress.missing.values())[:_NAMED],
        }
        if progress.missing:
            first = next(iter(progress.missing.values()))
            _log.warning("%s: %d sites without files (%s, …)", source.name, len(progress.missing), first)
    return {"format": FORMAT, "modalities": modalities, "files": files}


def _rename(partial: Path, folder: Path) -> None:
    """Give the finished folder its name; what had it goes only then."""
    if folder.exists():
        old = folder.with_name(folder.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
        partial.rename(folder)
        shutil.rmtree(old)
    else:
        partial.rename(folder)


def _parquet(sites: pd.DataFrame) -> bytes:
    """The sites as Parquet; the same table always gives the same bytes."""
    buffer = io.BytesIO()
    sites.to_parquet(buffer, index=False)
    return buffer.getvalue()
