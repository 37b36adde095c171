"""How complete an observed list is: coverage, species at a standard size, and those not found yet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sdm_core import diversity
from sdm_core.indicators.summary import format_number
from sdm_core.observed.numbers import ObservedNumber

#: Sizes an observed list is brought down to: the largest that is smaller than the observed one.
PLOT_SIZES = (100, 50, 20, 10, 5)
RECORD_SIZES = (10_000, 1_000, 500, 100, 50)
_N_BOOTSTRAP = 50
#: Expected numbers of species are shown whole from here on.
_WHOLE_FROM = 100
_INTERVAL = "95 % interval of another survey of this kind and size, bootstrapped"


def accumulation_numbers(counts: NDArray[np.int64], n_plots: int) -> list[ObservedNumber]:
    """Coverage, rarefied and extrapolated richness, and the lower bound of the whole richness.

    counts: plots (or records, with `n_plots` 0) of each species (n_species,). With plots the formulas for
    incidences hold: a plot is a sampling unit; without, every record is taken for a plant drawn at random.
    """
    sample = diversity.observed_sample(counts, n_plots or None)
    unit, estimator, sizes = ("plots", "Chao2", PLOT_SIZES) if n_plots else ("records", "Chao1", RECORD_SIZES)
    size = sample.n_units
    small = next((number for number in sizes if number < size), None)
    found = [
        ObservedNumber(
            "coverage",
            "Coverage of the observed list, %",
            100 * sample.coverage(),
            f"Share of the finds of further {unit} of the same kind that would be of species already listed "
            "(Chao & Jost 2012); near 100 the list is complete for this way of looking.",
            1,
        )
    ]
    wanted = [*([small] if small is not None else []), *([2 * size] if size > 1 else [])]
    if wanted:
        curve = diversity.rarefaction_curve(
            sample, 0, wanted, n_bootstrap=_N_BOOTSTRAP, generator=np.random.default_rng(0)
        )
        for place, units in enumerate(wanted):
            smaller = units < size
            found.append(
                ObservedNumber(
                    "rarefied" if smaller else "extrapolated",
                    f"Species in {format_number(units, 0)} {unit}, "
                    + ("rarefied" if smaller else "extrapolated"),
                    float(curve.diversity[place]),
                    f"Expected number of species in {format_number(units, 0)} {unit} like the "
                    f"{format_number(size, 0)} observed; compare areas at the same number of {unit}.",
                    0 if curve.diversity[place] >= _WHOLE_FROM else 1,
                    low=float(curve.low[place]),
                    high=float(curve.high[place]),
                    interval=_INTERVAL,
                )
            )
    found.append(
        ObservedNumber(
            "chao",
            f"Species with those not found yet, at least ({estimator})",
            sample.asymptote(0),
            f"Lower bound of the number of species that {unit} like these would find in the end, from those "
            "found once and twice.",
        )
    )
    return found
