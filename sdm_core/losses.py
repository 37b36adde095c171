"""Presence-only losses of SINR, each named after its equation, and the pseudo-absence points they need.

All losses take logits, never probabilities: -log(sigmoid(x)) is computed as -logsigmoid(x), so a presence
that the model is sure to be an absence still costs a finite amount and still pulls with its full gradient.
The published code adds 1e-5 inside the logarithm instead, which ends the pull at p ≈ 1e-5.

Shapes: `logits`, `labels`, `background_logits` are (n_sites, n_species). `labels` hold 1 for a recorded
presence and 0 for everything unrecorded; fractions between (label smoothing, mixing) are allowed where
said. Every loss returns the mean over sites of the equation's value for one site (equation 8.1).

Source: Cole et al., "Spatial Implicit Neural Representations for Global-Scale Species Mapping", ICML 2023
(equations 8.3 to 8.5 as numbered in Cole's thesis, chapter 8).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from sdm_core.errors import TrainingError

LossName = Literal[
    "assume_negative_full", "assume_negative_slds", "assume_negative_ssdl", "binary_cross_entropy"
]
LOSS_NAMES: tuple[LossName, ...] = (
    "assume_negative_full",
    "assume_negative_slds",
    "assume_negative_ssdl",
    "binary_cross_entropy",
)
#: Losses that compare each site with a second, random one.
BACKGROUND_LOSSES: frozenset[str] = frozenset({"assume_negative_full", "assume_negative_ssdl"})


def binary_cross_entropy(
    logits: Tensor, labels: Tensor, positive_weight: float = 1.0, site_weights: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy of surveys: every label, presence or absence, is believed.

    L = -1/S Σ_j [ λ y_j log ŷ_j + (1 - y_j) log(1 - ŷ_j) ]; labels may be fractions.

    `site_weights` (n_sites,) weigh sites by how much is known of them; their mean should be 1.
    Source: Ung et al. 2023 (GeoLifeCLEF winner), equation 1, with λ as in SINR's equation 8.5.
    """
    _check_shapes(logits, labels)
    return _mean_over_sites(_weighted_entropy(logits, labels, positive_weight).mean(dim=1), site_weights)


def assume_negative_full(
    logits: Tensor,
    labels: Tensor,
    background_logits: Tensor,
    positive_weight: float,
    site_weights: Tensor | None = None,
) -> Tensor:
    """AN-full: unrecorded species are absent here, and all species are absent at a random place.

    L = -1/S Σ_j [ 1[z_j=1] λ log ŷ_j + 1[z_j≠1] log(1 - ŷ_j) + log(1 - ŷ'_j) ]   (equation 8.5)

    `background_logits` are the model's logits at random points, one per site (see `uniform_points` and
    `background_rows`); `positive_weight` is λ, 2048 in the paper's runs with one species per record.
    Labels may be fractions. With surveys, a site holds all its species at once, and λ near 1 fits.
    """
    _check_shapes(logits, labels)
    _check_shapes(logits, background_logits)
    here = _weighted_entropy(logits, labels, positive_weight)
    elsewhere = -logsigmoid(-background_logits)
    return _mean_over_sites((here + elsewhere).mean(dim=1), site_weights)


def assume_negative_ssdl(
    logits: Tensor, labels: Tensor, background_logits: Tensor, site_weights: Tensor | None = None
) -> Tensor:
    """AN-SSDL: same species, different location; each presence is paired with one random place.

    L = -1/n_pos Σ_j 1[z_j=1] [ log ŷ_j + log(1 - ŷ'_j) ]   (equation 8.3); 0 for a site without presences.
    """
    _check_shapes(logits, labels)
    _check_shapes(logits, background_logits)
    present = (labels == 1).to(logits.dtype)
    terms = present * (logsigmoid(logits) + logsigmoid(-background_logits))
    n_present = present.sum(dim=1).clamp(min=1.0)
    return _mean_over_sites(-terms.sum(dim=1) / n_present, site_weights)


def assume_negative_slds(
    logits: Tensor,
    labels: Tensor,
    pairs: tuple[Tensor, Tensor, Tensor],
    site_weights: Tensor | None = None,
) -> Tensor:
    """AN-SLDS: same location, different species; each presence is paired with one unrecorded species.

    L = -1/n_pos Σ_j 1[z_j=1] [ log ŷ_j + log(1 - ŷ_j') ],  j' ~ Uniform({j : z_j ≠ 1})   (equation 8.4)

    `pairs` come from `draw_other_species`: rows, present species j and paired species j', each (n_pairs,).
    Only the paired entries of the logits are read, so cost grows with records and not with species.
    """
    _check_shapes(logits, labels)
    rows, present, other = pairs
    terms = logsigmoid(logits[rows, present])  # (n_pairs,)
    has_other = other >= 0
    terms = terms + torch.where(
        has_other, logsigmoid(-logits[rows, other.clamp(min=0)]), torch.zeros_like(terms)
    )
    per_site = torch.zeros(len(logits), dtype=logits.dtype, device=logits.device)
    per_site = per_site.index_add(0, rows, -terms.to(logits.dtype))  # (n_sites,)
    n_present = torch.bincount(rows, minlength=len(logits)).clamp(min=1).to(logits.dtype)
    return _mean_over_sites(per_site / n_present, site_weights)


def draw_other_species(labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs for AN-SLDS: for every presence one species drawn evenly from those unrecorded at that site.

    Returns rows, present species and paired species, each (n_presences,) int64; the paired species is -1
    at a site where every species is recorded. `generator` lives on the CPU, so a seed means the same draw
    on every device.
    """
    is_present = labels == 1
    rows, present = torch.nonzero(is_present, as_tuple=True)
    _, absent = torch.nonzero(~is_present, as_tuple=True)  # species, ordered by site
    n_absent = (~is_present).sum(dim=1)  # (n_sites,)
    first = torch.cumsum(n_absent, dim=0) - n_absent
    uniform = torch.rand(len(rows), generator=generator, dtype=torch.float64).to(labels.device)
    n_here = n_absent[rows]
    offset = torch.minimum((uniform * n_here).long(), (n_here - 1).clamp(min=0))
    if len(absent) == 0:
        return rows, present, torch.full_like(present, -1)
    other = absent[(first[rows] + offset).clamp(max=len(absent) - 1)]
    return rows, present, torch.where(n_here > 0, other, torch.full_like(other, -1))


def uniform_points(
    n_points: int,
    generator: np.random.Generator,
    bounds: tuple[float, float, float, float] = (-180.0, -90.0, 180.0, 90.0),
    geometry: object | None = None,
) -> np.ndarray:
    """Points spread evenly over the sphere, (n_points, 2) longitude and latitude in degrees.

    Evenly by area: longitude is uniform, latitude is the arcsine of a uniform draw, so that the far north
    gets no more points per km² than the tropics (uniform latitudes would give it more).

    `bounds` are west, south, east, north in degrees; west > east crosses the date line. `geometry` is a
    shapely polygon in longitude and latitude that the points must lie in, or None.
    Raises `TrainingError` when the bounds are no box on the Earth or the geometry fills almost none of it.
    """
    west, south, east, north = bounds
    if not (-90 <= south < north <= 90 and -180 <= west <= 180 and -180 <= east <= 180 and west != east):
        raise TrainingError(
            f"Cannot draw random points in {bounds}: expected west, south, east, north in degrees, "
            "with south < north."
        )
    width = (east - west) % 360 or 360.0
    sine_south, sine_north = np.sin(np.radians([south, north]))
    found: list[np.ndarray] = []
    n_found = 0
    for _ in range(1000):
        n_draw = max(64, 2 * (n_points - n_found))
        longitude = west + width * generator.random(n_draw)
        longitude = (longitude + 180.0) % 360.0 - 180.0
        latitude = np.degrees(np.arcsin(generator.uniform(sine_south, sine_north, n_draw)))
        points = np.column_stack([longitude, latitude])
        if geometry is not None:
            import shapely

            points = points[shapely.contains_xy(geometry, points)]
        found.append(points)
        n_found += len(points)
        if n_found >= n_points:
            return np.concatenate(found)[:n_points]
    raise TrainingError(
        f"Only {n_found} of {n_points} random points fell inside the region: it fills too little of {bounds}."
    )


def background_rows(n_points: int, area_km2: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Rows of a study area's land cells, drawn with replacement in proportion to their area.

    The same even spread over the sphere as `uniform_points`, where the features of every land cell are
    already at hand. Returns (n_points,) int64.
    """
    area = np.asarray(area_km2, dtype=np.float64)
    if area.ndim != 1 or len(area) == 0 or not np.isfinite(area).all() or (area < 0).any() or area.sum() == 0:
        raise TrainingError(
            "Cannot draw random land cells: their areas must be finite, not negative, and not all zero."
        )
    cumulative = np.cumsum(area)
    rows = np.searchsorted(cumulative, generator.random(n_points) * cumulative[-1], side="right")
    return np.minimum(rows, len(area) - 1).astype(np.int64)


def _weighted_entropy(logits: Tensor, labels: Tensor, positive_weight: float) -> Tensor:
    """-[ λ y log ŷ + (1 - y) log(1 - ŷ) ] of every entry, by torch's fused and stable kernel."""
    weight = None if positive_weight == 1.0 else logits.new_tensor(positive_weight)
    return binary_cross_entropy_with_logits(logits, labels, pos_weight=weight, reduction="none")


def _check_shapes(logits: Tensor, other: Tensor) -> None:
    """Refuse arrays that would be broadcast in silence."""
    if logits.ndim != 2 or logits.shape != other.shape:
        raise TrainingError(
            f"Logits of shape {tuple(logits.shape)} do not match labels or background of shape "
            f"{tuple(other.shape)}; both must be (n_sites, n_species)."
        )


def _mean_over_sites(per_site: Tensor, site_weights: Tensor | None) -> Tensor:
    """Mean of the sites' losses, weighted where weights are given."""
    return per_site.mean() if site_weights is None else (per_site * site_weights).mean()
