"""Coverage on the model card: right where the truth is known, absent where it cannot be measured."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from sdm_core.evaluation.splits import Split
from sdm_core.losses import UNKNOWN
from sdm_core.pipeline.coverage import coverage_on_held_out


@pytest.fixture(scope="module")
def drawn():
    generator = np.random.default_rng(0)
    logits = generator.normal(-2, 2, size=(1200, 30)).astype(np.float32)
    presence = (generator.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.uint8)
    return logits, presence, Split("square blocks of 2°, 4 folds", np.arange(1200) % 4)


def test_promises_are_kept_where_the_model_is_right_and_species_are_independent(drawn):
    found = coverage_on_held_out(*drawn)
    assert found["conformal_presences"] == pytest.approx(0.9, abs=0.02)
    assert found["conformal_labels"] == pytest.approx(0.9, abs=0.03)
    assert found["richness_conformal"] == pytest.approx(0.9, abs=0.03)
    assert found["richness_independent"] == pytest.approx(0.94, abs=0.03)  # half a species wider
    assert f"kept {found['conformal_presences']:.1%} of them" in found["sentences"][0]
    logits, presence, split = drawn
    assert coverage_on_held_out(logits, sparse.csr_matrix(presence), split) == found


def test_species_that_go_together_break_the_interval_of_independent_ones_only():
    generator = np.random.default_rng(1)
    logits = generator.normal(-1, 1, size=(1200, 30)).astype(np.float32)
    luck = generator.random((1200, 1))  # one draw for all species of a site
    presence = (luck < 1 / (1 + np.exp(-logits))).astype(np.uint8)
    found = coverage_on_held_out(logits, presence, Split("some", np.arange(1200) % 4))
    assert found["richness_independent"] < 0.5
    assert found["richness_conformal"] == pytest.approx(0.9, abs=0.03)


def test_what_cannot_be_measured_is_left_out(drawn):
    logits, presence, _ = drawn
    assert coverage_on_held_out(logits, presence, Split("two", np.arange(1200) % 2)) is None
    unknown = presence.copy()
    unknown[0, 0] = UNKNOWN
    assert coverage_on_held_out(logits, unknown, Split("four", np.arange(1200) % 4)) is None
