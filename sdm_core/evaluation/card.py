"""The model card: what was learned from what, how well, and what it must not be used for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sdm_core.errors import ConfigurationError
from sdm_core.evaluation.crossvalidation import COLUMNS
from sdm_core.models import write_aside

CARD_JSON = "model_card.json"
CARD_MARKDOWN = "MODEL_CARD.md"
#: Keys without which a card does not say enough to trust an atlas.
REQUIRED_KEYS = (
    "name", "title", "summary", "data", "covariates", "model", "validation", "calibration", "limits",
    "date", "code_version", "command",
)  # fmt: skip
#: Scores shown in the Markdown table; the JSON holds all.
_SHOWN = ("auc", "average_precision", "sample_f1", "ece_before", "ece_after")


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write `model_card.json` and `MODEL_CARD.md` into `folder`, each aside and then renamed.

    Raises `ConfigurationError` naming the keys of `REQUIRED_KEYS` that the card lacks.
    """
    missing = [key for key in REQUIRED_KEYS if not card.get(key)]
    if missing:
        raise ConfigurationError(
            f"The model card lacks {', '.join(missing)}; fill them in before writing it."
        )
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dict(card), indent=2, ensure_ascii=False, default=str) + "\n"
    write_aside(folder / CARD_JSON, text.encode())
    write_aside(folder / CARD_MARKDOWN, card_markdown(card).encode())


def card_markdown(card: Mapping[str, Any]) -> str:
    """The card as a page of Markdown."""
    lines = [f"# {card['title']}", "", str(card["summary"]), ""]
    lines += _facts(card)
    lines += ["## Data", ""]
    for source in card["data"]:
        lines += [f"- **{source['name']}**. {source['citation']} Licence: {source['licence']}."]
        lines += [f"  {source['note']}"] if source.get("note") else []
    lines += ["", "What cleaning removed:", ""] if card.get("cleaning") else []
    lines += _table(card.get("cleaning", ()), ("rule", "removed", "left"))
    lines += ["## Covariates", ""]
    for source in card["covariates"]:
        lines += [f"- **{source['name']}**. {source['citation']} Licence: {source['licence']}."]
    if card.get("covariate_names"):
        lines += ["", f"Layers: {', '.join(card['covariate_names'])}."]
    if card.get("features"):
        lines += ["", str(card["features"])]
    lines += ["", "## Model", "", str(card["model"]), ""]
    lines += _validation(card["validation"])
    lines += _calibration(card["calibration"])
    lines += ["## Limits", "", *(f"- {limit}" for limit in card["limits"]), ""]
    lines += ["## Made by", "", "```", str(card["command"]), "```", ""]
    return "\n".join(lines)


def _facts(card: Mapping[str, Any]) -> list[str]:
    """Date, version and size, as a list."""
    facts = [f"- Date: {card['date']}", f"- Code: Florascope {card['code_version']}"]
    for key, label in (
        ("n_species", "Species"),
        ("n_sites", "Training sites"),
        ("n_cells", "Predicted cells"),
        ("resolution", "H3 resolution"),
        ("grain", "A probability stands for"),
    ):
        if card.get(key) not in (None, ""):
            facts.append(
                f"- {label}: {card[key]:,}" if isinstance(card[key], int) else f"- {label}: {card[key]}"
            )
    return [*facts, ""]


def _validation(validation: Mapping[str, Any]) -> list[str]:
    """Cross-validation tables, one per block size."""
    lines = ["## Validation", "", str(validation.get("note", "")), ""]
    rows = validation["results"]
    for block_deg in sorted({row["block_deg"] for row in rows}):
        here = [row for row in rows if row["block_deg"] == block_deg]
        first = here[0]
        repeats = f", {first['n_repeats']} draws of folds" if first.get("n_repeats", 1) > 1 else ""
        lines += [
            f"### Blocks of {block_deg:g}°",
            "",
            f"{first['n_folds']} folds{repeats}, {first['n_sites']:,} sites, {first['n_species']:,} species.",
            "",
        ]
        lines += _table(here, ("model", *(name for name in _SHOWN if name in first)))
    lines += [f"- `{name}`: {meaning}" for name, (meaning, _) in COLUMNS.items() if name in _SHOWN]
    return [*lines, "", "Regenerate the tables:", "", "```", str(validation["command"]), "```", ""]


def _calibration(calibration: Mapping[str, Any]) -> list[str]:
    """Method, error before and after, reliability bins."""
    lines = ["## Calibration", "", str(calibration["method"]), ""]
    lines += [f"Expected calibration error on held-out blocks: {calibration['ece_before']} before, "
              f"{calibration['ece_after']} after.", ""]  # fmt: skip
    columns = ("lower", "upper", "n", "mean_probability", "recorded_share")
    return lines + _table(calibration.get("reliability", ()), columns)


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    """A Markdown table, followed by an empty line; nothing for no rows."""
    if not rows:
        return []
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(row.get(column, "")) for column in columns) + " |" for row in rows]
    return [*lines, ""]
