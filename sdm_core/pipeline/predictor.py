"""A trained model as something that predicts any cell: from its folder and its covariates, no occurrences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sdm_core import regions, taxa
from sdm_core.applicability import REFERENCE_FILE, ApplicabilityReference
from sdm_core.errors import CheckpointMismatchError, CovariateError, StoreMismatchError
from sdm_core.evaluation import Calibration, PlattCalibration
from sdm_core.features import FeatureSpec
from sdm_core.models import Checkpoint, SiteInputs, SpeciesModel, load_model
from sdm_core.pipeline.cell_inputs import CellInputs
from sdm_core.pipeline.experience import TRUST_LAYERS, predictor_columns, trust_values
from sdm_core.pipeline.model_folder import open_covariates, patches_of, read_notes
from sdm_core.pipeline.windows import CovariateWindows
from sdm_core.prediction import checksums
from sdm_core.prediction.code import encode
from sdm_core.prediction.files import read_species_table
from sdm_core.prediction.forward import best_device, make_ready
from sdm_core.prediction.inference import predict_codes
from sdm_core.prediction.tile_grid import Tile, TileGrid, tile_resolution_for
from sdm_core.prediction.tiling import tiles_of_area

#: Cells per forward pass: what a processor's cache holds, and enough to fill a GPU.
_BATCH_CPU, _BATCH_GPU = 2048, 16384
_SPECIES = "species.csv"
#: Region of a tiled atlas, as WKB, beside its model.
REGION_FILE = "region.wkb"


@dataclass(frozen=True)
class ModelSpec:
    """Which model predicts which cells: all that another process needs to do the same. Small, can be pickled.

    folder: checkpoint folder or atlas folder. region: WKB of the polygon (longitude, latitude) that cells
    must lie in besides the model's own study area. device: "auto", "cpu" or "cuda". whole: read rasters
    whole or in windows, by their size where None.
    """

    folder: str
    region: bytes | None = None
    device: str = "auto"
    whole: bool | None = None

    @classmethod
    def of_folder(cls, folder: Path | str, device: str = "auto") -> ModelSpec:
        """The model of a folder, in the region that the folder's tiles were made for, if any."""
        area = Path(folder) / REGION_FILE
        return cls(str(folder), area.read_bytes() if area.is_file() else None, device)

    def load(self) -> ModelPredictor:
        """The predictor, ready to work; raises what `ModelPredictor` raises."""
        return ModelPredictor(self)


class ModelPredictor:
    """A trained model and its covariates.

    Raises `CheckpointMismatchError` for a folder without a model, or of a model on packs of images, and
    `CovariateError` for covariates that are not there or not those the model was trained on.
    """

    def __init__(self, spec: ModelSpec):
        self.spec = spec
        folder = Path(spec.folder)
        self.notes = read_notes(folder)
        self.checkpoint: Checkpoint = load_model(folder)
        configuration = self.notes["configuration"]
        self.name = str(configuration["name"])
        self.title = str(configuration.get("title") or self.name)
        self.species = tuple(self.checkpoint.model.species)
        self.calibration = Calibration.from_arrays(self.checkpoint.extras)
        settings, wanted = configuration["covariates"], configuration.get("prediction") or {}
        source = open_covariates(folder, settings)
        patches = patches_of(configuration, self.checkpoint.model, source.names)
        self.covariates = CovariateWindows(
            source,
            FeatureSpec.from_dict(self.notes["feature_specification"]),
            float(settings.get("fill_gaps_cells", 0.0)),
            patches.size if patches else 0,
            spec.whole,
        )
        #: Which cells there are, and what the model sees of them.
        self.cells = CellInputs(
            self.name,
            self.covariates,
            tuple(wanted.get("bounds") or ()),
            tuple(wanted.get("places") or ()),
            spec.region,
            patches,
        )
        if self.covariates.feature_names != tuple(self.checkpoint.model.covariates):
            load_model(folder, covariates=self.covariates.feature_names)  # says where they part

    @cached_property
    def reference(self) -> ApplicabilityReference | None:
        """What the model has seen, where it lies beside the model; raises `ApplicabilityError` if damaged."""
        path = Path(self.spec.folder) / REFERENCE_FILE
        return ApplicabilityReference.load(path) if path.is_file() else None

    @property
    def value_names(self) -> tuple[str, ...]:
        """Further layers of one value per cell: how far each prediction is to be trusted, if known."""
        return () if self.reference is None else TRUST_LAYERS

    def values(self, inputs: SiteInputs) -> dict[str, NDArray[np.float32]]:
        """Layers of `value_names` at places; nothing where it is not known what the model has seen."""
        if self.reference is None:
            return {}
        columns = {name: number for number, name in enumerate(self.covariates.feature_names)}
        return trust_values(self.reference, predictor_columns(inputs, columns, self.reference.names))

    # -- what it is --------------------------------------------------------------------------------------

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """Checksums and settings that decide every value of every cell, JSON-ready; reads the covariates.

        The kind of processor is not among them: on another one, codes may differ by one where a probability
        lies within rounding of the border between two.
        """
        return {**self._inputs_but_covariates, "covariates_blake2b": self.covariates.source.checksum()}

    @cached_property
    def _inputs_but_covariates(self) -> dict[str, Any]:
        metadata = self.checkpoint.metadata
        shape = {name: metadata[name] for name in ("kind", "settings", "species", "covariates")}
        return {
            "weights_sha256": metadata["weights_sha256"],
            "model_blake2b": checksums.digest_json(shape),
            "features": self.covariates.spec.to_dict(),
            "fill_gaps_cells": self.covariates.fill_cells,
            "places": list(self.cells.places),
            "bounds": list(self.cells.bounds),
            "region": None if self.spec.region is None else checksums.digest_bytes(self.spec.region),
            **({} if self.reference is None else {"applicability": self.reference.digest}),
        }

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Raise `StoreMismatchError` where a store's inputs are not those of this predictor.

        Covariates too large to be held whole are not read for it.
        """
        known = self.inputs if self.covariates.reads_whole else self._inputs_but_covariates
        for name, value in known.items():
            if inputs.get(name) != value:
                raise StoreMismatchError(
                    f"The tiles are of predictions with another {name} than those of the model at "
                    f"{self.spec.folder}; use the model they began with, or give another place."
                )

    @property
    def own_resolution(self) -> int:
        """H3 resolution that the model's configuration asks for."""
        return int((self.notes["configuration"].get("prediction") or {}).get("resolution", 6))

    def grid(
        self,
        resolution: int,
        tiles: NDArray[np.uint64] | None = None,
        species: pd.DataFrame | None = None,
        name: str | None = None,
        title: str | None = None,
        tile_resolution: int | None = None,
    ) -> TileGrid:
        """The grid of a tiled store of these predictions, by default with every tile that may hold a cell.

        resolution: H3 resolution of the cells. species: a species table in the order of the model's
        species; that of the atlas folder by default, else names alone. tile_resolution: of the tiles, by
        default as `tile_resolution_for` chooses.
        """
        if tile_resolution is None:
            tile_resolution = tile_resolution_for(resolution, len(self.species))
        chosen = tiles_of_area(self.cells.area, resolution, tile_resolution) if tiles is None else tiles
        table = self.species_table if species is None else species
        return TileGrid(
            name or self.name,
            title or self.title,
            resolution,
            tile_resolution,
            np.sort(chosen),
            table,
            self.inputs,
            self.value_names,
        )

    @cached_property
    def species_table(self) -> pd.DataFrame:
        """Species table of the atlas folder; for a checkpoint names and genera, the rest unknown."""
        path = Path(self.spec.folder) / _SPECIES
        if path.is_file():
            table = read_species_table(path, len(self.species))
            if tuple(table["species"].astype(str)) != self.species:
                raise CheckpointMismatchError(
                    f"{path} lists other species than the model beside it; fetch the atlas folder again."
                )
            return table
        genus = [name.split(" ")[0] for name in self.species]
        unknown = [pd.NA] * len(genus)
        return pd.DataFrame(
            {
                "species_id": range(len(genus)), "species": self.species, "family": "", "gbif_key": unknown,
                "n_records": unknown, "n_cells": unknown, "endemic": unknown, "habitats_directive": "",
                "invasive_union_concern": unknown, "flag_source": "", "flag_date": "", "genus": genus,
                "common_genus": [taxa.common_genera().get(name, "") for name in genus],
            }
        )  # fmt: skip

    # -- predicting --------------------------------------------------------------------------------------

    def tile(self, tile: int, resolution: int) -> Tile:
        """Cells of a tile that lie in the study area and have covariates, with their codes and values."""
        cells, lonlat = self.cells.candidates(tile, resolution)
        kept, codes = [], [np.empty((0, len(self.species)), dtype=np.uint8)]
        values = {name: [np.empty(0, dtype=np.float32)] for name in self.value_names}
        for rows, inputs in self.cells.inputs(lonlat):
            kept.append(cells[rows])
            codes.append(self.codes(inputs))
            for name, part in self.values(inputs).items():
                values[name].append(part)
        return Tile(
            np.concatenate([np.empty(0, dtype=np.uint64), *kept]),
            np.concatenate(codes),
            {name: np.concatenate(parts) for name, parts in values.items()},
        )

    def batches(self, tile: int, resolution: int) -> Iterator[SiteInputs]:
        """What the model sees of the cells of a tile, as many at once as `tile` predicts at once."""
        for _, inputs in self.cells.inputs(self.cells.candidates(tile, resolution)[1]):
            yield inputs

    def cells_of_tile(self, tile: int, resolution: int) -> NDArray[np.uint64]:
        """Cells of a tile that lie in the study area and have covariates, ascending."""
        return self.cells.cells_of_tile(tile, resolution)

    def estimate(self, tiles: NDArray[np.uint64], resolution: int) -> NDArray[np.float64]:
        """About how many cells each tile holds, from where the first covariate has data seen from afar."""
        return self.cells.estimate(tiles, resolution)

    def predict(self, cells: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """Codes (n, n_species) of cells, wherever they have covariates.

        Raises `CovariateError` for cells that have none.
        """
        lonlat = regions.cells_to_lonlat(cells)
        codes = np.empty((len(cells), len(self.species)), dtype=np.uint8)
        found = np.zeros(len(cells), dtype=bool)
        for rows, inputs in self.cells.inputs(lonlat, on_data_only=False):
            codes[rows], found[rows] = self.codes(inputs), True
        if not found.all():
            raise CovariateError(
                f"{int((~found).sum())} of {len(cells)} cells have no covariates; leave them out."
            )
        return codes

    @cached_property
    def _device(self) -> str:
        return best_device(self.spec.device)

    @cached_property
    def _model(self) -> SpeciesModel:
        model = self.checkpoint.model
        make_ready(model, self._device)
        return model

    def codes(self, inputs: SiteInputs) -> NDArray[np.uint8]:
        """Codes of calibrated probabilities (n, n_species): the model's forward pass and nothing else."""
        if isinstance(self.calibration, PlattCalibration):
            return predict_codes(
                self._model,
                inputs,
                self.calibration.slope,
                self.calibration.intercept,
                batch_size=_BATCH_CPU if self._device == "cpu" else _BATCH_GPU,
            )
        return encode(self.calibration.probabilities(self._model.predict_logits(inputs)))
