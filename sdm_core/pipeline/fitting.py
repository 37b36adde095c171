"""Models as a configuration names them: built, fitted, and judged on held-out blocks."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from sdm_core import config as paths
from sdm_core.assemblages import sse
from sdm_core.errors import ConfigurationError, NotWritableError
from sdm_core.evaluation import (
    Evaluation,
    Labels,
    Result,
    Split,
    cross_validate,
    log_loss,
    mean_of_repeats,
    ranking_scores,
    score,
    spatial_validation_rows,
)
from sdm_core.losses import loss_class
from sdm_core.models import Ensemble, SiteInputs, SpeciesModel, model_class
from sdm_core.pipeline.configuration import ModelConfig, RunConfig, SplitConfig
from sdm_core.pipeline.data import TrainingData
from sdm_core.pipeline.splits import block_side, make_split
from sdm_core.training import Validation, fit
from sdm_core.training.recipes import RecipeData, run_recipe
from sdm_core.writing import write_whole

logger = logging.getLogger(__name__)


def build_model(config: ModelConfig, prepared: TrainingData) -> SpeciesModel:
    """The model of one entry of a configuration, not fitted; an ensemble where it has several seeds."""
    copies = [_build_one(config, prepared, config.training.seed + n) for n in range(config.n_seeds)]
    return copies[0] if len(copies) == 1 else Ensemble(copies, "mean_logit")


def _build_one(config: ModelConfig, prepared: TrainingData, seed: int) -> SpeciesModel:
    """One copy of a model."""
    columns = prepared.columns_of(config)
    settings = config.model_settings(columns=columns, groups=prepared.patch_groups(config))
    if columns and not hasattr(settings, "columns"):
        raise ConfigurationError(
            f"Model {config.name!r} of kind {config.kind} sees all features; leave its `features` out."
        )
    try:
        return model_class(config.kind).build(settings, prepared.species, prepared.covariate_names, seed)
    except (MemoryError, RuntimeError) as error:  # torch has no error of its own for memory it does not get
        if not isinstance(error, MemoryError) and not re.search("memory|overflow", str(error)):
            raise
        raise ConfigurationError(
            f"Model {config.name!r} does not fit into memory with its [settings] and "
            f"{len(prepared.species)} species; make it narrower."
        ) from error


def fit_models(
    models: Sequence[ModelConfig],
    prepared: TrainingData,
    inputs: SiteInputs,
    presence: Labels,
    rows: np.ndarray,
    *,
    folder: Path | None = None,
    resume: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> SpeciesModel:
    """The models of a configuration fitted to these sites, as one; `rows` are the sites' numbers.

    With early stopping, whole blocks of these sites are held back to find the best epoch. Recipes also see
    the presence-only records whose nearest site is among the sites.
    """
    fitted: list[SpeciesModel] = []
    for config in models:
        model = build_model(config, prepared)
        kind = loss_class(config.training.loss)
        options: dict[str, Any] = {
            "background": prepared.background(config) if kind.needs_background else None,
            "folder": None if folder is None else folder / folder_name(config.name),
            "resume": resume,
            "device": device,
            "progress": progress,
        }
        labels, seen = presence, inputs
        if config.kind == "co_occurrence":
            # A species' companions are the rest of its site's list; held-out sites are predicted without.
            lists = np.asarray(sparse.csr_matrix(presence).todense(), dtype=np.uint8)
            seen = replace(inputs, companions=lists)
        if kind.takes_counts and not config.recipe:
            labels = prepared.counts[rows]
        kept = np.arange(len(rows))
        if config.training.early_stopping:
            kept, options["validate"] = _hold_back(prepared, inputs, presence)
        recipe = config.make_recipe()
        if recipe is not None:
            data = _recipe_data(prepared, seen.take(kept), presence[kept], rows[kept])
            run_recipe(recipe, model, data, config.training, **options)
        else:
            weights = None if prepared.site_weights is None else prepared.site_weights[rows[kept]]
            fit(model, seen.take(kept), labels[kept], config.training, site_weights=weights, **options)
        fitted.append(model)
    if len(fitted) == 1:
        return fitted[0]
    ensemble = Ensemble(fitted, prepared.config.combination, [config.weight for config in models])
    if ensemble.combination == "frozen_rank":
        ensemble.freeze_ranks(inputs)
    return ensemble


def _hold_back(prepared: TrainingData, inputs: SiteInputs, presence: Labels) -> tuple[np.ndarray, Validation]:
    """Rows to train on, and the scores of the blocks held back."""
    settings = prepared.config.evaluation
    back = spatial_validation_rows(inputs.lonlat, settings.validation_share, settings.validation_block_deg)
    held_inputs, held_presence = inputs.take(back), presence[back]

    def validate(model: SpeciesModel) -> dict[str, float]:
        logits = model.predict_logits(held_inputs)
        ranked = ranking_scores(held_presence, logits)
        scores = {"auc": ranked.auc, "average_precision": ranked.average_precision}
        means = {name: float(np.nanmean(values)) for name, values in scores.items()}
        return {**means, "log_loss": log_loss(held_presence, logits)}

    return np.setdiff1d(np.arange(len(inputs)), back), validate


def _recipe_data(
    prepared: TrainingData, inputs: SiteInputs, presence: Labels, rows: np.ndarray
) -> RecipeData:
    """Surveys as given and the records nearest to them."""
    records = prepared.records
    if records is None:
        return RecipeData(inputs, presence)
    near = records.away_from(prepared.lonlat, rows)
    return RecipeData(inputs, presence, records.inputs.take(near), records.labels[near])


def folder_name(name: str) -> str:
    """A model's name as a folder: letters and digits, the rest as hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")


def evaluate_models(
    prepared: TrainingData, only: Sequence[str] | None = None, device: str = "auto"
) -> Evaluation:
    """Cross-validation tables of the shipped model and its baselines, on every split."""
    from tqdm import tqdm

    config = prepared.config
    shipped = shipped_name(config)
    entries: list[tuple[str, tuple[ModelConfig, ...]]] = [(shipped, config.members)]
    entries += [(baseline.name, (baseline,)) for baseline in config.baselines]
    if only is not None:
        entries = [entry for entry in entries if entry[0] in only]
    settings = config.evaluation
    runs = [(split, name, models) for split in settings.all_splits for name, models in entries]
    results = []
    with tqdm(runs, desc=f"evaluating {config.name}", unit="model", disable=None) as bar:
        for split, name, models in bar:
            bar.set_postfix_str(f"{name}, {split.kind}")
            # Countries are dealt without chance, so further seeds would repeat the first.
            seeds = settings.seeds[:1] if split.kind == "country" else settings.seeds
            repeats = [_one_run(prepared, name, models, split, seed, device)[0] for seed in seeds]
            results.append(repeats[0] if len(repeats) == 1 else mean_of_repeats(repeats))
            logger.info("%s %s: %s", name, results[-1].split, results[-1].scores)
    return Evaluation(config.name, tuple(results))


def shipped_name(config: RunConfig) -> str:
    """How the shipped model is called in the tables."""
    return "shipped: " + " + ".join(
        f"{member.n_seeds} × {member.name}" if member.n_seeds > 1 else member.name
        for member in config.members
    )


def calibration_logits(prepared: TrainingData, device: str = "auto") -> tuple[np.ndarray, Split]:
    """Held-out logits of the shipped model and what was held out: the first split and seed.

    Sites that the split never tests have NaN.
    """
    return held_out_logits(prepared, prepared.config.evaluation.all_splits[0], device)


def held_out_logits(
    prepared: TrainingData, split_config: SplitConfig, device: str = "auto"
) -> tuple[np.ndarray, Split]:
    """Held-out logits of the shipped model on a split, first seed, from the cache or by fitting folds."""
    models, seed = prepared.config.members, prepared.config.evaluation.seeds[0]
    _, logits, split = _one_run(prepared, shipped_name(prepared.config), models, split_config, seed, device)
    return logits, split


def kept_logits(prepared: TrainingData, split_config: SplitConfig) -> tuple[np.ndarray, Split] | None:
    """What `held_out_logits` gives, where the cache has it; None where models would have to be fitted."""
    settings = prepared.config.evaluation
    split = make_split(split_config, settings, prepared.lonlat, settings.seeds[0])
    path = _cached_logits_path(prepared, prepared.config.members, split)
    kept = _kept(path, (prepared.n_sites, len(prepared.species)))
    return None if kept is None else (kept[0], split)


def _one_run(
    prepared: TrainingData,
    name: str,
    models: tuple[ModelConfig, ...],
    split_config: SplitConfig,
    seed: int,
    device: str,
) -> tuple[Result, np.ndarray, Split]:
    """One model, one split, one draw of folds; held-out logits are kept in the cache."""
    settings = prepared.config.evaluation
    split = make_split(split_config, settings, prepared.lonlat, seed)
    side = block_side(split_config)
    options: dict[str, Any] = {"shrinkage": settings.shrinkage, "calibration": settings.calibration}
    inputs = prepared.view(models, prepared.inputs)
    path = _cached_logits_path(prepared, models, split)
    kept = _kept(path, (prepared.n_sites, len(prepared.species)))
    if kept is not None:
        logits, seconds = kept
        result = score(
            name, side, logits, prepared.presence, split, prepared.species, sse, seconds=seconds, **options
        )
        return result, logits, split

    def fit_fold(part: SiteInputs, presence: Labels, rows: np.ndarray, fold: int) -> SpeciesModel:
        return fit_models(models, prepared, part, presence, rows, device=device, progress=False)

    result, logits = cross_validate(
        name, fit_fold, inputs, prepared.presence, split, side, prepared.species, sse, **options
    )
    _keep(path, logits, result.seconds)
    return result, logits, split


def shipped_view(prepared: TrainingData, inputs: SiteInputs) -> SiteInputs:
    """What the shipped model sees of places."""
    return prepared.view(prepared.config.members, inputs)


def _cached_logits_path(prepared: TrainingData, models: tuple[ModelConfig, ...], split: Split) -> Path:
    """Where the held-out logits of exactly this run are kept."""
    config = prepared.config
    settings = [asdict(replace(model, name="")) for model in models]
    described: list[Any] = [paths.CODE_VERSION, prepared.fingerprint, settings, config.combination]
    if any(model.training.early_stopping for model in models):
        described.append([config.evaluation.validation_share, config.evaluation.validation_block_deg])
    digest = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode())
    if prepared.site_weights is not None:
        digest.update(prepared.site_weights.tobytes())
    for array in (split.folds, *split.dropped):
        digest.update(array.astype(np.int64).tobytes())
    if any(model.recipe for model in models) and prepared.records is not None:
        for array in (prepared.records.inputs.lonlat, prepared.records.labels.indices):
            digest.update(np.ascontiguousarray(array).tobytes())
    return paths.CACHE_DIR / "evaluations" / f"{config.name}-{digest.hexdigest()[:20]}.npz"


def _kept(path: Path, shape: tuple[int, int]) -> tuple[np.ndarray, float] | None:
    """Logits of this shape and their seconds from the cache; a damaged file is removed and counts as none."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as saved:
            logits, seconds = saved["logits"], float(saved["seconds"])
        if logits.shape != shape:
            raise ValueError(f"its shape is {logits.shape}, not {shape}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        logger.warning("the held-out logits at %s are damaged and made again: %s", path, error)
        path.unlink(missing_ok=True)
        return None
    return logits, seconds


def _keep(path: Path, logits: np.ndarray, seconds: float) -> None:
    """Keep logits in the cache; a cache that cannot be written costs time, not the result."""
    import io

    content = io.BytesIO()
    np.savez(content, logits=logits, seconds=seconds)
    try:
        write_whole(path, content.getvalue())
    except NotWritableError as error:
        logger.warning("held-out logits were not cached: %s", error)
