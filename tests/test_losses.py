"""Each loss against its equation written out in float64, term by term, with gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from shapely.geometry import box

from sdm_core import losses
from sdm_core.errors import TrainingError


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(7)
    logits = torch.tensor(rng.normal(0, 3, (6, 9)), dtype=torch.float64, requires_grad=True)
    background = torch.tensor(rng.normal(0, 3, (6, 9)), dtype=torch.float64, requires_grad=True)
    labels = torch.tensor(rng.random((6, 9)) < 0.3, dtype=torch.float64)
    labels[2] = 0  # a site without presences
    labels[3] = 1  # a site with every species
    return logits, background, labels


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


def finite_difference(function, array: torch.Tensor, step: float = 1e-6) -> np.ndarray:
    """Numerical gradient of a python function of an array."""
    values = array.detach().numpy().copy()
    gradient = np.zeros_like(values)
    for index in np.ndindex(values.shape):
        for sign in (1, -1):
            moved = values.copy()
            moved[index] += sign * step
            gradient[index] += sign * function(moved)
    return gradient / (2 * step)


def check(loss: torch.Tensor, written_out, logits: torch.Tensor) -> None:
    assert loss.item() == pytest.approx(written_out(logits.detach().numpy()), rel=1e-12)
    loss.backward()
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad.numpy(), finite_difference(written_out, logits), atol=1e-8)


def test_an_full_is_equation_8_5(case) -> None:
    logits, background, labels = case
    z, r, weight = labels.numpy(), background.detach().numpy(), 20.48

    def equation(x: np.ndarray) -> float:
        total = 0.0
        for i in range(6):
            for j in range(9):
                if z[i, j] == 1:
                    total -= weight * log_sigmoid(x[i, j]) / 9
                else:
                    total -= log_sigmoid(-x[i, j]) / 9
                total -= log_sigmoid(-r[i, j]) / 9
        return total / 6

    check(losses.assume_negative_full(logits, labels, background, weight), equation, logits)
    assert background.grad is not None and (background.grad > 0).all()


def test_an_ssdl_is_equation_8_3(case) -> None:
    logits, background, labels = case
    z, r = labels.numpy(), background.detach().numpy()

    def equation(x: np.ndarray) -> float:
        total = 0.0
        for i in range(6):
            n_pos = sum(z[i, j] == 1 for j in range(9))
            for j in range(9):
                if z[i, j] == 1:
                    total -= (log_sigmoid(x[i, j]) + log_sigmoid(-r[i, j])) / n_pos
        return total / 6

    check(losses.assume_negative_ssdl(logits, labels, background), equation, logits)


def test_an_slds_is_equation_8_4_for_the_drawn_pairs(case) -> None:
    logits, _, labels = case
    pairs = losses.draw_other_species(labels, torch.Generator().manual_seed(3))
    triples = list(zip(*(part.tolist() for part in pairs), strict=True))
    z = labels.numpy()

    def equation(x: np.ndarray) -> float:
        total = 0.0
        for i, j, other in triples:
            n_pos = sum(z[i, k] == 1 for k in range(9))
            total -= log_sigmoid(x[i, j]) / n_pos
            if other >= 0:
                total -= log_sigmoid(-x[i, other]) / n_pos
        return total / 6

    check(losses.assume_negative_slds(logits, labels, pairs), equation, logits)


def test_binary_cross_entropy_is_its_equation_with_weights_and_fractions(case) -> None:
    logits, _, labels = case
    smooth = labels * 0.9 + 0.03
    weights = torch.tensor([0.5, 2.0, 1.0, 1.0, 0.25, 1.25], dtype=torch.float64)
    y, w = smooth.numpy(), weights.numpy()

    def equation(x: np.ndarray) -> float:
        total = 0.0
        for i in range(6):
            for j in range(9):
                site = 3 * y[i, j] * log_sigmoid(x[i, j]) + (1 - y[i, j]) * log_sigmoid(-x[i, j])
                total -= w[i] * site / 9
        return total / 6

    check(losses.binary_cross_entropy(logits, smooth, 3.0, weights), equation, logits)


def test_binary_cross_entropy_agrees_with_torch(case) -> None:
    logits, _, labels = case
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
    assert losses.binary_cross_entropy(logits, labels).item() == pytest.approx(theirs.item(), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_stay_finite_and_a_missed_presence_still_pulls(dtype: torch.dtype) -> None:
    logits = torch.tensor([[-1e4, 1e4, -1e4, 1e4]], dtype=dtype, requires_grad=True)
    background = torch.tensor([[1e4, -1e4, 1e4, 1e4]], dtype=dtype)
    labels = torch.tensor([[1.0, 1.0, 0.0, 0.0]], dtype=dtype)
    pairs = losses.draw_other_species(labels, torch.Generator().manual_seed(0))
    values = {
        "full": losses.assume_negative_full(logits, labels, background, 8.0),
        "ssdl": losses.assume_negative_ssdl(logits, labels, background),
        "slds": losses.assume_negative_slds(logits, labels, pairs),
        "bce": losses.binary_cross_entropy(logits, labels),
    }
    for name, value in values.items():
        assert torch.isfinite(value), name
        (gradient,) = torch.autograd.grad(value, logits)
        assert torch.isfinite(gradient).all(), name
        assert gradient[0, 0] < -0.1, f"{name}: the missed presence at logit -1e4 has no pull"


def test_paired_species_are_uniform_over_the_unrecorded_ones() -> None:
    labels = torch.zeros(1, 6)
    labels[0, [1, 4]] = 1
    labels = labels.repeat(6000, 1)
    rows, present, other = losses.draw_other_species(labels, torch.Generator().manual_seed(0))
    assert len(rows) == 12000 and set(present.tolist()) == {1, 4}
    counts = torch.bincount(other, minlength=6).numpy()
    assert counts[[1, 4]].sum() == 0
    # chi-square with 3 degrees of freedom: 16.3 is passed with probability 0.001
    assert ((counts[[0, 2, 3, 5]] - 3000) ** 2 / 3000).sum() < 16.3


def test_random_points_are_uniform_on_the_sphere() -> None:
    points = losses.uniform_points(40_000, np.random.default_rng(0))
    assert points.shape == (40_000, 2)
    # a sphere has half its area between 30° S and 30° N, and the share north of 60° is (1 - sin 60°)/2
    assert (abs(points[:, 1]) < 30).mean() == pytest.approx(0.5, abs=0.01)
    assert (points[:, 1] > 60).mean() == pytest.approx((1 - math.sin(math.pi / 3)) / 2, abs=0.005)
    assert np.histogram(points[:, 0], bins=8, range=(-180, 180))[0].std() < 150


def test_random_points_stay_in_their_region_even_across_the_date_line() -> None:
    across = losses.uniform_points(500, np.random.default_rng(0), bounds=(170, -20, -170, -10))
    assert ((across[:, 0] >= 170) | (across[:, 0] <= -170)).all() and (across[:, 0] > 0).any()
    inside = losses.uniform_points(500, np.random.default_rng(0), (-10, 35, 5, 44), box(-2, 42, 1, 43))
    assert ((inside[:, 0] > -2) & (inside[:, 0] < 1) & (inside[:, 1] > 42) & (inside[:, 1] < 43)).all()


def test_background_rows_follow_cell_area_and_skip_empty_cells() -> None:
    rows = losses.background_rows(30_000, np.array([1.0, 0.0, 2.0, 3.0]), np.random.default_rng(0))
    shares = np.bincount(rows, minlength=4) / 30_000
    np.testing.assert_allclose(shares, [1 / 6, 0, 1 / 3, 1 / 2], atol=0.01)
    assert shares[1] == 0


def test_bad_input_is_refused_with_a_sentence() -> None:
    with pytest.raises(TrainingError, match=r"shape \(2, 3\) do not match .* \(2, 4\)"):
        losses.binary_cross_entropy(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(TrainingError, match="south < north"):
        losses.uniform_points(3, np.random.default_rng(0), bounds=(0, 50, 10, 40))
    with pytest.raises(TrainingError, match="fills too little"):
        losses.uniform_points(3, np.random.default_rng(0), (-10, 35, 5, 44), box(100, 0, 101, 1))
    with pytest.raises(TrainingError, match="not all zero"):
        losses.background_rows(3, np.zeros(4), np.random.default_rng(0))
