"""Every speed claim of the project, measured: `python -m sdm_core benchmark speed`.

A benchmark is a function that gives its comparisons with a peer, or its timings where there is none; adding
one means adding a line to `SPEED`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from sdm_core.benchmarks.covariates_speed import covariate_sampling
from sdm_core.benchmarks.diversity_speed import all_pairs, max_exp_sets, shannon_index
from sdm_core.benchmarks.pages import page_timings
from sdm_core.benchmarks.patches import patch_loading
from sdm_core.benchmarks.queries import store_queries
from sdm_core.benchmarks.regions_speed import area_weighted_hectares, polygon_fill
from sdm_core.benchmarks.sinr_speed import sinr_inference, sinr_steps
from sdm_core.benchmarks.timing import Comparison, Timing, UnequalResultsError, compare
from sdm_core.errors import ConfigurationError

#: Name → function that runs it.
SPEED: dict[str, Callable[[], Iterable[Comparison | Timing]]] = {
    "store-synthetic": partial(store_queries, "synthetic"),
    "store-atlases": partial(store_queries, "atlases"),
    "store-large": partial(store_queries, "large"),
    "polygon-fill": polygon_fill,
    "area-weighting": area_weighted_hectares,
    "covariate-sampling": covariate_sampling,
    "patch-loading": patch_loading,
    "shannon": shannon_index,
    "all-pairs": all_pairs,
    "max-exp": max_exp_sets,
    "sinr-step": sinr_steps,
    "sinr-inference": sinr_inference,
    "pages": page_timings,
}

#: Benchmarks that run only when asked for by name: they take tens of gigabytes and a long time.
ONLY_BY_NAME = frozenset({"store-large"})


def run_speed(only: str | None = None) -> Iterator[Comparison | Timing]:
    """Run the speed benchmarks, one after the other, giving each result as it is there.

    Raises `ConfigurationError` for an unknown name, `UnequalResultsError` when contestants disagree.
    """
    if only is not None and only not in SPEED:
        raise ConfigurationError(f"no speed benchmark is called {only!r}; there are {', '.join(SPEED)}")
    for name, benchmark in SPEED.items():
        if only == name or (only is None and name not in ONLY_BY_NAME):
            yield from benchmark()


__all__ = ["SPEED", "Comparison", "Timing", "UnequalResultsError", "compare", "run_speed"]
