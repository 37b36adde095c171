"""What a model has seen, in a few hundred kilobytes: enough to judge any place without the occurrences."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.applicability.dissimilarity import (
    mean_distance,
    nearest_distances,
    outlier_removed_maximum,
    training_dissimilarity,
)
from sdm_core.applicability.levels import from_levels, to_levels
from sdm_core.applicability.mess import mess
from sdm_core.errors import ApplicabilityError
from sdm_core.prediction import checksums
from sdm_core.writing import write_whole

#: Name of the file beside a checkpoint.
REFERENCE_FILE = "applicability.npz"
#: Training sites kept at most; of more, a random part speaks for all.
MAX_SITES = 20_000
#: Format 1 held sites in half precision.
_FORMAT, _HALF_PRECISION = 2, 1
#: How weights that are all the same are called.
EQUAL = "all predictors weigh the same"


@dataclass(frozen=True)
class ApplicabilityReference:
    """Predictors of the training sites, and the limit of the area of applicability that follows from them.

    Attributes:
        names: predictors, in the order of the columns.
        mean, deviation: of the training sites, by which values are scaled (n_variables,).
        weights: of each predictor in the distance, not negative (n_variables,).
        sites: scaled, unweighted predictors of the training sites, float32 (n_sites, n_variables).
        mean_distance: mean weighted distance between two training sites.
        threshold: dissimilarity index above which a place lies outside the area of applicability.
        folds: how training sites were kept apart for the threshold, in words.
        weighting: where the weights come from, in words.
    """

    names: tuple[str, ...]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    weights: NDArray[np.float64]
    sites: NDArray[np.float32]
    mean_distance: float
    threshold: float
    folds: str = ""
    weighting: str = EQUAL

    @classmethod
    def fit(
        cls,
        values: ArrayLike,
        names: tuple[str, ...],
        folds: ArrayLike | None = None,
        *,
        weights: ArrayLike | None = None,
        folds_text: str = "each site by itself",
        weighting: str = EQUAL,
        seed: int = 0,
    ) -> ApplicabilityReference:
        """The reference of training sites with `values` (n_sites, n_variables) of the predictors `names`.

        folds: number of the fold each site is tested in; the threshold is the largest dissimilarity index of
        a training site to those of other folds, outliers removed. Sites of no fold (negative) count as
        neighbours only. Predictors that do not vary or do not weigh anything are left out. Of more than
        `MAX_SITES` sites a random part is taken. Raises `ApplicabilityError` where fewer than two sites or no
        predictor is left.
        """
        table = np.asarray(values, dtype=np.float64)
        groups = None if folds is None else np.asarray(folds)
        known = np.isfinite(table).all(axis=1)
        table, groups = table[known], None if groups is None else groups[known]
        if len(table) > MAX_SITES:
            rows = np.sort(np.random.default_rng(seed).choice(len(table), MAX_SITES, replace=False))
            table, groups = table[rows], None if groups is None else groups[rows]
        if len(table) < 2:
            raise ApplicabilityError(
                f"The area of applicability needs at least two training sites with all predictors; found "
                f"{len(table)}."
            )
        mean, deviation = table.mean(axis=0), table.std(axis=0, ddof=1)
        importance = np.ones(len(names)) if weights is None else np.maximum(np.asarray(weights, float), 0.0)
        varies = (deviation > 0) & (importance > 0)
        if not varies.any():
            raise ApplicabilityError(
                "The area of applicability needs a predictor that varies between training sites, and none of "
                f"the {len(names)} does."
            )
        mean, deviation, importance = mean[varies], deviation[varies], importance[varies]
        scaled = (table[:, varies] - mean) / deviation
        weighted = scaled * importance
        threshold = outlier_removed_maximum(training_dissimilarity(weighted, groups))
        if not np.isfinite(threshold):
            raise ApplicabilityError(
                "The area of applicability needs training sites in at least two folds; use smaller blocks."
            )
        return cls(
            tuple(np.asarray(names)[varies].tolist()),
            mean,
            deviation,
            importance,
            scaled.astype(np.float32),
            mean_distance(weighted),
            threshold,
            folds_text,
            weighting,
        )

    def dissimilarity(
        self,
        values: ArrayLike,
        others: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        other_groups: ArrayLike | None = None,
    ) -> NDArray[np.float64]:
        """Dissimilarity index of places with predictors (n, n_variables): 0 at a training site, no unit.

        DI = weighted distance to the nearest training site / mean weighted distance between training sites.
        others: predictors of the sites to compare with instead; groups, other_groups: with both, only sites
        of another group than the place's own count, as folds of a cross-validation.
        """
        places = self._scaled(values) * self.weights
        sites = self.sites if others is None else self._scaled(others)
        return nearest_distances(places, sites * self.weights, groups, other_groups) / self.mean_distance

    def applies(self, dissimilarity: ArrayLike) -> NDArray[np.bool_]:
        """Whether places of these dissimilarity indices lie in the area of applicability; not where NaN."""
        return np.asarray(dissimilarity, dtype=np.float64) <= self.threshold

    def mess(self, values: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """MESS of places (n,) and which predictor is the most dissimilar one (n,); see `mess`."""
        # as precise as the sites are kept, so that the outermost of them lies within the range
        return mess(self._scaled(values).astype(np.float32), self.sites)

    def _scaled(self, values: ArrayLike) -> NDArray[np.float64]:
        table = np.asarray(values, dtype=np.float64)
        if table.ndim != 2 or table.shape[1] != len(self.names):
            raise ValueError(f"values of shape {table.shape} for {len(self.names)} predictors")
        return (table - self.mean) / self.deviation

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the sites, JSON-ready."""
        return {
            "predictors": list(self.names),
            "weights": self.weights.round(6).tolist(),
            "weighting": self.weighting,
            "n_sites": len(self.sites),
            "mean_distance": self.mean_distance,
            "threshold": self.threshold,
            "folds": self.folds,
        }

    @property
    def digest(self) -> str:
        """Hash of everything that decides the values of a place."""
        arrays = (self.mean, self.deviation, self.weights, self.sites)
        content = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
        return checksums.digest_json([self.settings, checksums.digest_bytes(content)])

    def rounded(self) -> ApplicabilityReference:
        """The reference as its file holds it: sites on 256 levels of each predictor; see `levels_of`."""
        return ApplicabilityReference(**{**self.__dict__, "sites": from_levels(*to_levels(self.sites))})

    def rounding_error(self, values: ArrayLike) -> float:
        """Largest error of the dissimilarity index at places (n, n_variables) when it comes from the file."""
        error = self.rounded().dissimilarity(values) - self.dissimilarity(values)
        return float(np.nanmax(np.abs(error), initial=0.0))

    def save(self, path: Path) -> Path:
        """Write the reference, a byte per site and predictor: a few hundred kilobytes for 20,000 sites."""
        from io import BytesIO

        codes, levels = to_levels(self.sites)
        buffer = BytesIO()
        np.savez_compressed(
            buffer,
            format=np.array(_FORMAT),
            names=np.array(self.names, dtype=np.str_),
            mean=self.mean,
            deviation=self.deviation,
            weights=self.weights,
            codes=np.ascontiguousarray(codes.T),
            levels=levels,
            limits=np.array([self.mean_distance, self.threshold]),
            words=np.array([self.folds, self.weighting], dtype=np.str_),
        )
        write_whole(path, buffer.getvalue())
        return path

    @classmethod
    def load(cls, path: Path) -> ApplicabilityReference:
        """Read a reference; raises `ApplicabilityError` for a file that is none. Runs no code of the file."""
        try:
            with np.load(path, allow_pickle=False) as file:
                form = int(file["format"])
                if form not in (_FORMAT, _HALF_PRECISION):
                    raise ApplicabilityError(
                        f"{path} has format {form}, this version reads up to {_FORMAT}; make it again with "
                        "`python -m sdm_core trust`."
                    )
                if form == _HALF_PRECISION:
                    sites = file["sites"].astype(np.float32)
                else:
                    sites = from_levels(file["codes"].T, file["levels"])
                mean_of_distances, threshold = (float(number) for number in file["limits"])
                folds, weighting = (str(word) for word in file["words"])
                return cls(
                    tuple(file["names"].tolist()),
                    file["mean"],
                    file["deviation"],
                    file["weights"],
                    sites,
                    mean_of_distances,
                    threshold,
                    folds,
                    weighting,
                )
        except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
            raise ApplicabilityError(
                f"{path} cannot be read as the reference of an area of applicability ({error}); make it "
                "again with `python -m sdm_core trust`."
            ) from error
