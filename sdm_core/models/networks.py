"""The networks: SINR's residual trunk, a linear model, and ResNet branches with late fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from sdm_core.errors import TrainingError

Trunk = Literal["residual", "plain", "none"]


class ResidualBlock(nn.Module):
    """x + ReLU(W2 · Dropout(ReLU(W1 x))), the block of SINR's location encoder."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) → (n, width)."""
        hidden = self.dropout(torch.relu(self.first(x)))
        return x + torch.relu(self.second(hidden))


class SinrNetwork(nn.Module):
    """Linear + ReLU, residual blocks, linear head (Cole et al. 2023, location encoder and classifier).

    With `width=256, n_blocks=4, dropout=0.5, head_bias=False` it is the paper's network. A head bias lets
    each species start at its prevalence, which the paper has no need for on 35 million records but which
    saves small data sets the first epochs. `trunk="plain"` drops the skip connections (an ordinary
    multi-layer perceptron) and `trunk="none"` leaves the head alone (logistic regression).
    """

    def __init__(
        self,
        n_inputs: int,
        n_species: int,
        width: int = 256,
        n_blocks: int = 4,
        dropout: float = 0.5,
        input_dropout: float = 0.0,
        head_dropout: float = 0.0,
        head_bias: bool = False,
        trunk: Trunk = "residual",
    ) -> None:
        super().__init__()
        self.input_dropout = nn.Dropout(input_dropout)
        self.head_dropout = nn.Dropout(head_dropout)
        self.encoder = _build_trunk(trunk, n_inputs, width, n_blocks, dropout)
        self.n_features = n_inputs if trunk == "none" else width
        self.head = nn.Linear(self.n_features, n_species, bias=head_bias)
        if trunk == "none":
            nn.init.zeros_(self.head.weight)

    def embed(self, x: Tensor) -> Tensor:
        """Location features (n, n_inputs) → (n, n_features)."""
        return self.encoder(self.input_dropout(x))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, n_inputs) → (n, n_species)."""
        return self.head(self.head_dropout(self.embed(x)))


def _build_trunk(trunk: Trunk, n_inputs: int, width: int, n_blocks: int, dropout: float) -> nn.Module:
    """Everything between inputs and head."""
    if trunk == "none":
        return nn.Identity()
    layers: list[nn.Module] = [nn.Linear(n_inputs, width), nn.ReLU()]
    if trunk == "residual":
        layers += [ResidualBlock(width, dropout) for _ in range(n_blocks)]
    else:
        layers.append(nn.Dropout(dropout))
        for _ in range(n_blocks):
            layers += [nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)


class QuadraticNetwork(nn.Module):
    """Logistic regression on each column and its square: one optimum per species and covariate."""

    def __init__(self, n_inputs: int, n_species: int) -> None:
        super().__init__()
        self.head = nn.Linear(2 * n_inputs, n_species)
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Scaled columns (n, n_inputs) → logits (n, n_species); squares are centred like the columns."""
        return self.head(torch.cat([x, (x.square() - 1.0) / 2**0.5], dim=1))


def resnet18_branch(n_channels: int, weights: Literal["imagenet"] | None = None) -> nn.Module:
    """ResNet18 of torchvision that turns patches (n, n_channels, height, width) into (n, 512) features.

    The first layer is a 3 × 3 convolution of stride 1 without max-pooling, because environmental patches
    are a few dozen cells wide, not 224 pixels. `weights="imagenet"` copies the pretrained layers behind it;
    they must already lie in torch's cache, since building a model never goes to the network.

    Source: He et al. 2016; as branch of FusResNet in Ung et al. 2023 (there ResNet34/50 on 128 × 128).
    Raises `TrainingError` when the weights are asked for and are not on this machine.
    """
    from torchvision.models import resnet18

    branch = resnet18(weights=None)
    if weights == "imagenet":
        branch.load_state_dict(_imagenet_resnet18())
    elif weights is not None:
        raise TrainingError(f"Unknown ResNet18 weights {weights!r}; expected 'imagenet' or none.")
    branch.conv1 = nn.Conv2d(n_channels, 64, kernel_size=3, stride=1, padding=1, bias=False)
    branch.maxpool = nn.Identity()
    branch.fc = nn.Identity()
    return branch


def _imagenet_resnet18() -> Mapping[str, Tensor]:
    """ImageNet weights from torch's local cache."""
    from torchvision.models import ResNet18_Weights

    url = ResNet18_Weights.IMAGENET1K_V1.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if not path.is_file():
        raise TrainingError(
            f"ImageNet weights for ResNet18 were asked for but are not at {path}; fetch {url} to that place "
            "on a machine with internet access, or leave `weights` out to train from scratch."
        )
    return torch.load(path, map_location="cpu", weights_only=True)


class FusionNetwork(nn.Module):
    """ResNet18 branch per group of patch layers, fused late with a SINR location embedding as prior.

    logits = head([branch features …, location embedding]) + location head(location embedding)

    The second term is the location prior's own logit: the patches explain what the location alone does not.
    Late fusion by concatenation as in FusResNet (Ung et al. 2023, figure 2); the location embedding and its
    additive prior are ours, after the geographical prior of Mac Aodha et al. 2019.
    """

    patch_mean: Tensor
    patch_deviation: Tensor

    def __init__(
        self,
        n_location_inputs: int,
        n_species: int,
        groups: Sequence[Sequence[int]],
        width: int = 256,
        n_blocks: int = 4,
        dropout: float = 0.5,
        weights: Literal["imagenet"] | None = None,
        head_bias: bool = False,
    ) -> None:
        super().__init__()
        self.groups = [list(group) for group in groups]
        self.n_channels = 1 + max(max(group) for group in self.groups)
        self.register_buffer("patch_mean", torch.zeros(self.n_channels))
        self.register_buffer("patch_deviation", torch.ones(self.n_channels))
        self.location = SinrNetwork(
            n_location_inputs, n_species, width, n_blocks, dropout, head_bias=head_bias
        )
        self.branches = nn.ModuleList(resnet18_branch(len(group), weights) for group in self.groups)
        n_fused = 512 * len(self.groups) + width
        self.fusion = nn.Sequential(nn.Linear(n_fused, width), nn.ReLU(), nn.Dropout(dropout))
        self.head = nn.Linear(width, n_species, bias=False)

    def fit_patch_scaling(self, patches: Tensor) -> None:
        """Learn each channel's mean and deviation over the land of (n, channels, h, w); NaN is no land."""
        land = torch.isfinite(patches)
        n_land = land.sum(dim=(0, 2, 3)).clamp(min=1)  # (channels,)
        values = torch.where(land, patches, 0.0).double()
        mean = values.sum(dim=(0, 2, 3)) / n_land
        squares = torch.where(land, (values - mean[None, :, None, None]) ** 2, 0.0)
        deviation = (squares.sum(dim=(0, 2, 3)) / n_land).sqrt()
        self.patch_mean.copy_(mean)
        self.patch_deviation.copy_(torch.where(deviation > 0, deviation, 1.0))

    def forward(self, x: Tensor, patches: Tensor) -> Tensor:
        """Location inputs (n, n_inputs) and patches (n, channels, h, w) → logits (n, n_species)."""
        mean, deviation = self.patch_mean[None, :, None, None], self.patch_deviation[None, :, None, None]
        patches = torch.nan_to_num((patches - mean) / deviation, nan=0.0)
        embedding = self.location.embed(x)  # (n, width)
        features = [
            branch(patches[:, group])  # (n, 512)
            for branch, group in zip(self.branches, self.groups, strict=True)
        ]
        fused = self.fusion(torch.cat([*features, embedding], dim=1))  # (n, width)
        return self.head(fused) + self.location.head(embedding)
