"""Cells a second of networks with growing numbers of species, and how many operations a cell takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sdm_core import losses
from sdm_core.models import NetworkModel, NetworkSettings, Sinr, SiteInputs, model_class
from sdm_core.models.presets import PRESETS
from sdm_core.prediction.inference import predict_codes

#: Numbers of species of an atlas of trees, a regional flora, and the flora of a continent.
SPECIES = (128, 1_000, 3_700, 10_000)
_BATCH, _TURNS = 2048, 5
#: The network on image patches that is measured beside SINR, and its places at once.
FUSION, _FUSION_BATCH = "fus_resnet34_2023", 8


@dataclass(frozen=True)
class ForwardCost:
    """One network: floating-point operations per cell, and cells a second on this device (one CPU thread)."""

    kind: str
    n_species: int
    operations_per_cell: float
    cells_per_second: float
    device: str


def measure_forward(species: Sequence[int] = SPECIES, device: str = "cpu") -> Iterator[ForwardCost]:
    """SINR with random weights, from coordinates to the store's codes; 32 bit, batches of 2,048 cells."""
    import torch
    from threadpoolctl import threadpool_limits

    points = losses.uniform_points(_BATCH, np.random.default_rng(0))
    sites = SiteInputs(points, np.empty((len(points), 0), dtype=np.float32))
    for n_species in species:
        names = [f"Synthetica {number}" for number in range(n_species)]
        model = Sinr(NetworkSettings(inputs="coords", encoding="sinr"), names, (), 0)
        model.network.to(device)
        n_weights = sum(weight.numel() for weight in model.network.parameters() if weight.ndim == 2)
        with threadpool_limits(limits=1):
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            try:
                predict_codes(model, sites, batch_size=_BATCH)
                times = []
                for _ in range(_TURNS):
                    start = time.perf_counter()
                    predict_codes(model, sites, batch_size=_BATCH)
                    times.append(time.perf_counter() - start)
            finally:
                torch.set_num_threads(threads)
        yield ForwardCost("SINR", n_species, 2.0 * n_weights, _BATCH / float(np.median(times)), device)


def measure_fusion(n_species: int = 10_000, device: str = "cpu") -> ForwardCost:
    """FusResNet34 with random weights on patches of 33 × 128 × 128, operations counted; one CPU thread."""
    import torch
    from threadpoolctl import threadpool_limits
    from torch.utils.flop_counter import FlopCounterMode

    kind, settings = PRESETS[FUSION]
    shape = settings()
    model = model_class(kind).build(shape, [f"Synthetica {number}" for number in range(n_species)], ())
    assert isinstance(model, NetworkModel)
    model.network.to(device).eval()
    n_channels = sum(len(channels) for _, channels in shape.groups)
    patches = np.zeros((_FUSION_BATCH, n_channels, shape.patch_size, shape.patch_size), dtype=np.float32)
    points = losses.uniform_points(_FUSION_BATCH, np.random.default_rng(0))
    sites = SiteInputs(points, np.empty((len(points), 0), dtype=np.float32), patches)
    with threadpool_limits(limits=1), FlopCounterMode(display=False) as counter:
        model.predict_logits(sites, _FUSION_BATCH)
    operations = float(counter.get_total_flops()) / _FUSION_BATCH
    with threadpool_limits(limits=1):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            times = []
            for _ in range(3):
                start = time.perf_counter()
                model.predict_logits(sites, _FUSION_BATCH)
                times.append(time.perf_counter() - start)
        finally:
            torch.set_num_threads(threads)
    return ForwardCost("FusResNet34", n_species, operations, _FUSION_BATCH / float(np.median(times)), device)
