"""Networks made ready to predict millions of cells: on the right device, with the fastest exact products."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sdm_core.errors import ConfigurationError
from sdm_core.models import Ensemble, NetworkModel, SpeciesModel

if TYPE_CHECKING:
    from torch import nn

#: Rows of a matrix are filled up with zeros to a multiple of this.
_ROWS_TOGETHER = 64


def best_device(device: str = "auto") -> str:
    """The torch device to predict on: for "auto" the GPU where there is one, else the CPU.

    Raises `ConfigurationError` for a GPU that is not there.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise ConfigurationError(f"device = {device!r}; expected auto, cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("There is no GPU that torch can use here; leave --device out, or give cpu.")
    return device


def make_ready(model: SpeciesModel, device: str) -> None:
    """Move a model's networks to a device; on the CPU, let oneDNN multiply their matrices, in 32 bits.

    oneDNN's products are as exact as those of the library torch takes by default, and on AMD processors more
    than twice as fast. The model is changed: it predicts, but is no longer to be trained.
    """
    if isinstance(model, Ensemble):
        for member in model.members:
            make_ready(member, device)
    elif isinstance(model, NetworkModel):
        model.network.to(device).eval()
        if device == "cpu":
            _use_onednn(model.network)


def _use_onednn(network: nn.Module) -> None:
    """Let the linear layers of a network run in oneDNN, where torch has it."""
    import torch
    from torch import nn

    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.aten, "mkldnn_linear"):
        return

    class OneDnnLinear(nn.Linear):
        """A linear layer whose product oneDNN takes."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """(n, n_inputs) → (n, n_outputs)."""
            if x.device.type != "cpu" or x.dtype != torch.float32 or x.dim() != 2 or len(x) == 0:
                return super().forward(x)
            n_rows = len(x)
            if n_rows % _ROWS_TOGETHER:  # oneDNN keeps what it builds for every number of rows it meets
                x = nn.functional.pad(x, (0, 0, 0, -n_rows % _ROWS_TOGETHER))
            result: torch.Tensor = torch.ops.aten.mkldnn_linear(x.to_mkldnn(), self.packed, self.bias)
            return result.to_dense()[:n_rows]

    for layer in network.modules():
        # As good as making a new layer of the same weights, and every name of the network stays valid.
        if type(layer) is nn.Linear and layer.weight.dtype == torch.float32:
            layer.__class__ = OneDnnLinear
            layer.requires_grad_(False)
            object.__setattr__(layer, "packed", layer.weight.detach().to_mkldnn())


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Numpy, scipy and torch work on one thread, so that results do not depend on how many there are."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _thread_pools().limit(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _thread_pools() -> Any:
    """The thread pools of the libraries loaded so far; looking for them takes longer than a small tile."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
