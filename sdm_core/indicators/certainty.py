"""Which species count as certain and which as possible: by held-out surveys, or by fixed probabilities.

What surveys promise holds where the model applies. So no species is certain by a cell outside the area of
applicability, where the atlas knows it; there a species is possible at best.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdm_core.indicators import threat
from sdm_core.indicators.sets import StoreLike, held_out_of, possible_codes
from sdm_core.indicators.summary import format_number
from sdm_core.prediction import NO_SPECIES_CUT, decode
from sdm_core.prediction.points import APPLICABILITY_LAYER

#: What the column `certainty` of a species table holds.
CERTAIN, POSSIBLE = "certain", "possible"


@dataclass(frozen=True, eq=False)
class Certainty:
    """Probabilities from which each species of an atlas is possible, and from which it is certain.

    Attributes:
        source: "conformal" where held-out surveys give the limits, "probability" where two fixed
            probabilities stand in for them.
        possible_code, certain_code: (n_species,) smallest stored code that is possible and certain;
            `prediction.NO_SPECIES_CUT` where none is.
        possible_text, certain_text: what the words mean here.
        knows_area: the atlas knows where its model applies, and only such cells make a species certain.
    """

    source: Literal["conformal", "probability"]
    possible_code: NDArray[np.uint16]
    certain_code: NDArray[np.uint16]
    possible_text: str
    certain_text: str
    knows_area: bool = False

    @property
    def text(self) -> str:
        """Both meanings in one sentence."""
        return f"Certain: {self.certain_text}; possible: {self.possible_text}."

    def possible(self, probability: ArrayLike) -> NDArray[np.bool_]:
        """Which of decoded probabilities (…, n_species) make a species possible."""
        return np.asarray(probability, dtype=np.float64) >= _probability_of(self.possible_code)

    def certain(self, probability: ArrayLike) -> NDArray[np.bool_]:
        """Which of decoded probabilities (…, n_species) make a species certain where the model applies.

        All of them are possible, too.
        """
        return np.asarray(probability, dtype=np.float64) >= _probability_of(self.certain_code)


@dataclass(frozen=True, eq=False)
class RegionCertainty:
    """Which species are certain and which possible in a region.

    Attributes:
        certainty: of the atlas.
        possible: (n_species,) by the best cell of the region; all that are certain among them.
        certain: (n_species,) by the best cell of those inside the area of applicability, where that is known.
        text: what both words mean, and how many cells of the region could make a species certain.
    """

    certainty: Certainty
    possible: NDArray[np.bool_]
    certain: NDArray[np.bool_]
    text: str

    @property
    def words(self) -> NDArray[np.object_]:
        """Either "certain", "possible" or "" for each species (n_species,)."""
        return np.where(self.certain, CERTAIN, np.where(self.possible, POSSIBLE, "")).astype(object)

    @property
    def says_more(self) -> bool:
        """Whether the words say more than the highest probability of a species does."""
        return self.certainty.source == "conformal" or self.certainty.knows_area


def _probability_of(codes: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Probability of each code; infinite for no code at all."""
    return np.where(codes < NO_SPECIES_CUT, decode(np.minimum(codes, 255).astype(np.uint8)), np.inf)


def certainty_of(store: StoreLike) -> Certainty:
    """Which species count as certain and as possible in an atlas.

    With held-out surveys beside the atlas, a species is possible where its conformal set holds "present"; it
    is certain where the set holds nothing else and, of all species as probable, nine of ten were recorded
    (`assemblages.calibrate_certain`; the limit for absence alone lets through many that were not). Without
    them it is possible from a probability of 0.05 and certain from 0.9. Of a region the best cell counts
    (`certainty_of_region`): the promise is about one site, and among many cells one passes more easily.
    """
    held_out = held_out_of(store)
    knows_area = _knows_area(store)
    where = "in some cell" + (" inside the area of applicability of the model" if knows_area else "")
    everywhere = (
        "" if knows_area else "; the atlas does not know where its model applies, so every cell counts"
    )
    if held_out is None:
        p = decode(np.arange(256, dtype=np.uint8))
        possible, certain = (
            np.full(store.n_species, np.searchsorted(p, least), dtype=np.uint16)
            for least in (threat.POSSIBLE_FROM, threat.CERTAIN_FROM)
        )
        return Certainty(
            "probability",
            possible,
            certain,
            f"a probability of at least {threat.POSSIBLE_FROM:g} in some cell; the atlas has no held-out "
            "surveys beside it that would say more",
            f"a probability of at least {threat.CERTAIN_FROM:g} {where}{everywhere}",
            knows_area,
        )
    possible = possible_codes(held_out)
    p = decode(np.arange(256, dtype=np.uint8))
    beyond = np.searchsorted(p, held_out.absence_limit, side="right")
    least = held_out.notes.get("certain_from")
    from_code = NO_SPECIES_CUT if least is None or math.isinf(least) else int(np.searchsorted(p, least))
    certain = np.maximum.reduce([possible.astype(np.int64), beyond, np.full(len(beyond), from_code)])
    kept = f"{100 * (1.0 - held_out.error_rate):.0f} %"
    return Certainty(
        "conformal",
        possible,
        np.minimum(certain, NO_SPECIES_CUT).astype(np.uint16),
        "in some cell held-out surveys do not exclude the species (conformal sets that keep "
        f"{kept} of the presences of a site)",
        "never, as no probability of this atlas was right often enough on held-out surveys"
        if least is None
        else f"{where} held-out surveys exclude its absence, at a probability of at least {least:.2f}, "
        f"from which {kept} of such species were recorded at held-out sites{everywhere}",
        knows_area,
    )


def certainty_of_region(store: StoreLike, rows: NDArray[np.int64], sums: Any) -> RegionCertainty:
    """Which species are certain and which possible in the cells of a region.

    Args:
        store: predictions of an atlas.
        rows: of the region, ascending.
        sums: totals of these rows, as `prediction.RegionSums`.
    """
    certainty = certainty_of(store)
    best = np.asarray(sums.max_probability, dtype=np.float64)
    possible, certain = certainty.possible(best), certainty.certain(best)
    text = certainty.text
    inside = applicable(store, rows)
    if inside is not None and not inside.all():
        if not inside.any():
            certain = np.zeros(len(certain), dtype=bool)
        elif certain.any():
            certain = certainty.certain(store.region_sums(rows[inside]).max_probability)
        n_inside = int(np.count_nonzero(inside))
        some = "1 lies" if n_inside == 1 else f"{format_number(n_inside, 0)} lie"
        lie = some if n_inside else "none lies"
        text = f"{text} Of the {format_number(len(rows), 0)} cells of this region {lie} inside that area."
    return RegionCertainty(certainty, possible, certain, text)


def applicable(store: StoreLike, rows: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    """Whether cells lie inside the area of applicability (n_rows,); None where the atlas does not know it.

    A cell of which it is not known counts as outside.
    """
    if not _knows_area(store):
        return None
    found: NDArray[np.bool_] = np.asarray(store.layer(APPLICABILITY_LAYER)[rows]) > 0
    return found


def _knows_area(store: StoreLike) -> bool:
    return APPLICABILITY_LAYER in getattr(store, "layer_names", ())


def count_interval(store: StoreLike, expected: float) -> tuple[float, float] | None:
    """Interval of the number of species of one cell from its Σp; None where no held-out surveys give it.

    Σp ± the conformal half-width (`assemblages.calibrate_richness`), from 0 to the species of the atlas.
    """
    held_out = held_out_of(store)
    width = None if held_out is None else held_out.notes["richness_half_width"]
    if width is None:
        return None
    return max(0.0, expected - width), min(float(store.n_species), expected + width)
