"""Evaluation: spatial blocks, scores, calibration, the table of models, the model card."""

from sdm_core.evaluation.blocks import FoldAssignment, block_folds, block_of
from sdm_core.evaluation.calibration import Calibration, cross_fit, fit_calibration, sigmoid
from sdm_core.evaluation.card import card_markdown, write_card
from sdm_core.evaluation.crossvalidation import (
    COLUMNS,
    Evaluation,
    Result,
    cross_validate,
    held_out_logits,
    mean_of_repeats,
    score,
)
from sdm_core.evaluation.metrics import (
    RankingScores,
    expected_calibration_error,
    log_loss,
    ranking_scores,
    reliability_table,
    sample_f1,
)

__all__ = [
    "COLUMNS",
    "Calibration",
    "Evaluation",
    "FoldAssignment",
    "RankingScores",
    "Result",
    "block_folds",
    "block_of",
    "card_markdown",
    "cross_fit",
    "cross_validate",
    "expected_calibration_error",
    "fit_calibration",
    "held_out_logits",
    "log_loss",
    "mean_of_repeats",
    "ranking_scores",
    "reliability_table",
    "sample_f1",
    "score",
    "sigmoid",
    "write_card",
]
