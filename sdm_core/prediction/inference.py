"""Codes of the store straight from a network, without the arrays of logits and probabilities between.

For 10,000 species those arrays take longer to write and read again than the network takes to compute them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from sdm_core.errors import ConfigurationError
from sdm_core.models import Ensemble, NetworkModel, SiteInputs, SpeciesModel
from sdm_core.prediction.code import encode

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "bfloat16"]

#: Species per matrix product, and entries worked on at a time: half a megabyte, to stay in the cache.
_SPECIES_PER_CHUNK, _ENTRIES_PER_BLOCK = 2048, 2**17


def predict_codes(
    model: SpeciesModel,
    inputs: SiteInputs,
    slope: np.ndarray | None = None,
    intercept: np.ndarray | None = None,
    precision: Precision = "float32",
    batch_size: int = 2048,
) -> NDArray[np.uint8]:
    """Codes round(255·√p) of calibrated probabilities p = σ(slope · logit + intercept), (n_sites, n_species).

    `slope` and `intercept` (n_species,) are a Platt calibration's; 1 and 0 where not given. A network with a
    linear head, or a mean of the logits of such networks (their heads are one linear head on all their
    features), gets them folded into the head, and its logits become codes chunk by chunk; any other model
    gives logits first. In "float32" the codes are those of `encode` up to ties of rounding. In "bfloat16",
    which is faster on processors that have it (`losses.bfloat16_pays`), the head and what enters and leaves
    it are rounded to 8 bits: codes of a network with logits between -20 and 20 moved by 0.18 of 255 in the
    mean and by 6 at most. Layers before the head stay in 32 bits.
    Raises `ConfigurationError` for a calibration of other species.
    """
    n_species = len(model.species)
    slopes = np.ones(n_species) if slope is None else np.asarray(slope, dtype=np.float64)
    intercepts = np.zeros(n_species) if intercept is None else np.asarray(intercept, dtype=np.float64)
    if slopes.shape != (n_species,) or intercepts.shape != (n_species,):
        raise ConfigurationError(
            f"The calibration has slopes of shape {slopes.shape} and intercepts of shape {intercepts.shape}; "
            f"expected one of each for the model's {n_species} species."
        )
    networks = _linear_networks(model)
    if networks:
        return _codes_of_networks(networks, inputs, slopes, intercepts, precision, batch_size)
    codes = np.empty((len(inputs), n_species), dtype=np.uint8)
    for start in range(0, len(inputs), batch_size):
        rows = slice(start, start + batch_size)
        logits = model.predict_logits(inputs.take(rows), batch_size)
        codes[rows] = encode(0.5 * (1.0 + np.tanh(0.5 * (logits * slopes + intercepts))))
    return codes


def _has_linear_head(model: NetworkModel) -> bool:
    """Whether its logits are head(embed(columns)) and nothing else."""
    from torch import nn

    own = type(model).predict_logits is NetworkModel.predict_logits
    return own and hasattr(model.network, "embed") and isinstance(model.network.head, nn.Linear)


def _linear_networks(model: SpeciesModel) -> list[tuple[float, NetworkModel]]:
    """Networks whose weighted logits add up to the model's, each with a linear head; else none."""
    if isinstance(model, NetworkModel):
        return [(1.0, model)] if _has_linear_head(model) else []
    if not isinstance(model, Ensemble) or model.combination != "mean_logit":
        return []
    parts = [_linear_networks(member) for member in model.members]
    if not all(parts):
        return []
    return [
        (float(share) * weight, network)
        for share, part in zip(model.weights, parts, strict=True)
        for weight, network in part
    ]


def _codes_of_networks(
    networks: list[tuple[float, NetworkModel]],
    inputs: SiteInputs,
    slopes: np.ndarray,
    intercepts: np.ndarray,
    precision: Precision,
    batch_size: int,
) -> NDArray[np.uint8]:
    """Codes of networks with linear heads, logits added up by weight, on whatever device they are."""
    import torch

    for _, model in networks:
        model.check_inputs(inputs)
    was_training = [model.network.training for _, model in networks]
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    codes = np.empty((len(inputs), len(slopes)), dtype=np.uint8)
    with torch.inference_mode():
        weights, bias = [], torch.from_numpy(intercepts)
        for share, model in networks:
            model.network.eval()
            head = model.network.head
            assert isinstance(head, torch.nn.Linear)
            factor = torch.from_numpy(share * slopes).to(head.weight.device)
            weights.append((head.weight.double() * factor[:, None]).to(dtype))  # (n_species, width)
            bias = bias.to(head.weight.device)
            if head.bias is not None:
                bias = bias + head.bias.double() * factor
        weight = torch.cat(weights, dim=1)  # (n_species, sum of widths)
        bias = bias.float()
        features = torch.empty(
            min(batch_size, len(inputs)), weight.shape[1], dtype=dtype, device=weight.device
        )
        for start in range(0, len(inputs), batch_size):
            rows = slice(start, min(start + batch_size, len(inputs)))
            part = inputs.take(rows)
            own, first = features[: len(part)], 0
            for (_, model), columns in zip(networks, weights, strict=True):
                seen = (tensor.to(weight.device) for tensor in model.tensors(part))
                last = first + columns.shape[1]
                own[:, first:last] = model.network.embed(*seen)  # type: ignore[operator]
                first = last
            _fill_codes(torch.from_numpy(codes[rows]), own, weight, bias)
    for (_, model), training in zip(networks, was_training, strict=True):
        model.network.train(training)
    return codes


def _fill_codes(
    codes: torch.Tensor, features: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> None:
    """Codes (n, n_species) of features (n, width), written into place."""
    import torch

    on_cpu = features.device.type == "cpu"
    room: torch.Tensor | None = None
    # One piece of memory for every chunk: fresh pages cost more than the product.
    products = torch.empty(
        len(features) * min(_SPECIES_PER_CHUNK, len(weight)), dtype=features.dtype, device=features.device
    )
    has_bias = bool((bias != 0).any())
    for first in range(0, len(weight), _SPECIES_PER_CHUNK):
        last = min(first + _SPECIES_PER_CHUNK, len(weight))
        logits = products[: len(features) * (last - first)].view(len(features), last - first)
        torch.mm(features, weight[first:last].t(), out=logits)  # (n, chunk)
        block = max(1, _ENTRIES_PER_BLOCK // (last - first)) if on_cpu else len(logits)
        if room is None or room.shape[1] != last - first:
            room = torch.empty(min(block, len(logits)), last - first, device=features.device)
        for start in range(0, len(logits), block):
            part = logits[start : start + block]
            p = room[: len(part)]
            p.copy_(part)
            if has_bias:
                p.add_(bias[first:last])
            p.sigmoid_().sqrt_().mul_(255.0).add_(0.5)
            codes[start : start + len(part), first:last] = p.to(torch.uint8) if not on_cpu else p
