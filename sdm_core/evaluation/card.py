"""The model card: what was learned from what, how well, and what it must not be used for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sdm_core.errors import ConfigurationError
from sdm_core.evaluation.results import COLUMNS
from sdm_core.writing import write_whole

CARD_JSON = "model_card.json"
CARD_MARKDOWN = "MODEL_CARD.md"
_COVERAGE, _AFTER_COVERAGE = "## Coverage", "## Limits"
#: Keys without which a card does not say enough to trust an atlas.
REQUIRED_KEYS = (
    "name", "title", "summary", "data", "covariates", "model", "validation", "calibration", "limits",
    "date", "code_version", "command",
)  # fmt: skip
#: Scores shown in the Markdown table; the JSON holds all.
_SHOWN = (
    "auc", "average_precision", "precision_recall_gain", "boyce", "sample_f1", "adaptive_top_k", "log_loss",
    "ece_before", "ece_after",
)  # fmt: skip
#: Scores of a species shown by rarity.
_SHOWN_BY_RARITY = ("auc", "average_precision", "precision_recall_gain", "boyce")


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write `model_card.json` and `MODEL_CARD.md` into `folder`, each aside and then renamed.

    Raises `ConfigurationError` naming the keys of `REQUIRED_KEYS` that the card lacks, `NotWritableError`.
    """
    missing = [key for key in REQUIRED_KEYS if not card.get(key)]
    if missing:
        raise ConfigurationError(
            f"The model card lacks {', '.join(missing)}; fill them in before writing it."
        )
    text = json.dumps(dict(card), indent=2, ensure_ascii=False, default=str) + "\n"
    write_whole(folder / CARD_JSON, text.encode())
    write_whole(folder / CARD_MARKDOWN, card_markdown(card).encode())


def scores_for_card(
    tables: Mapping[str, Any], shipped: str, note: str, command: str, block_deg: float | None = None
) -> dict[str, Any]:
    """The parts `validation` and `calibration` of a card, from tables as `Evaluation.to_dict` gives them.

    shipped: the model the card is about; all other models of the tables stand beside it as baselines. The
    calibration is that of its row on square blocks of `block_deg`, or of its first row.
    Raises `ConfigurationError` when the tables lack the model.
    """
    rows = [row for row in tables["results"] if row["model"] == shipped]
    chosen = next((row for row in rows if block_deg is None or row["block_deg"] == block_deg), None)
    if chosen is None:
        where = "" if block_deg is None else f" on {block_deg:g}° blocks"
        raise ConfigurationError(
            f"The tables have no row for {shipped!r}{where}; evaluate this configuration again."
        )
    method = str(chosen.get("calibration") or "Platt scaling per species, shrunk to a common map")
    if not method.startswith("none"):
        method += "; fitted on held-out logits, and judged below on sites calibrated by the other folds"
    where = _split_title(chosen)
    return {
        "validation": {"note": note, "command": command, "shipped": shipped, **tables},
        "calibration": {
            "method": f"{method[:1].upper()}{method[1:]} ({where[:1].lower()}{where[1:]}).",
            "ece_before": chosen["ece_before"],
            "ece_after": chosen["ece_after"],
            "reliability": chosen["reliability"],
        },
    }


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
    lines += _coverage(card.get("coverage") or {})
    lines += [_AFTER_COVERAGE, "", *(f"- {limit}" for limit in card["limits"]), ""]
    lines += ["## Made by", "", "```", str(card["command"]), "```", ""]
    return "\n".join(lines)


def add_coverage(folder: Path, coverage: Mapping[str, Any] | None) -> None:
    """Put the coverage section into the card of an atlas folder, in place of an earlier one.

    All else on the card stays as it was written, whatever version of the code wrote it; without coverage the
    section goes. A folder without `MODEL_CARD.md` gets none.
    Raises `ConfigurationError` where the card cannot be read, `NotWritableError`.
    """
    path = folder / CARD_JSON
    try:
        card = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{path} cannot be read as a model card ({error}); copy it again."
        ) from error
    card.pop("coverage", None)
    found = {"coverage": dict(coverage)} if coverage else {}
    after = list(card).index("calibration") + 1 if "calibration" in card else len(card)
    entries = list(card.items())
    written = dict([*entries[:after], *found.items(), *entries[after:]])
    text = json.dumps(written, indent=2, ensure_ascii=False, default=str) + "\n"
    write_whole(path, text)
    page = folder / CARD_MARKDOWN
    if not page.is_file():
        return
    lines = page.read_text(encoding="utf-8").split("\n")
    end = lines.index(_AFTER_COVERAGE) if _AFTER_COVERAGE in lines else len(lines)
    start = lines.index(_COVERAGE) if _COVERAGE in lines else end
    lines[start:end] = _coverage(coverage or {})
    write_whole(page, "\n".join(lines))


def _coverage(coverage: Mapping[str, Any]) -> list[str]:
    """What intervals and conformal sets kept of their promise: a table, and sentences; nothing for none."""
    if not coverage:
        return []
    shown = [
        {
            "what": row["what"],
            **{name: _percent(row.get(name)) for name in ("promised", "kept", "mean_of_blocks")},
            "blocks": row.get("blocks", ""),
            "sites": "" if row.get("sites") is None else f"{row['sites']:,}",
        }
        for row in coverage.get("table", ())
    ]
    lines = [_COVERAGE, ""]
    if shown:
        lines += [
            f"Shares of what was promised and kept on sites held out ({coverage['split']}), each fold judged "
            "by limits of the others; the mean of blocks weighs every held-out block alike, however many "
            "sites it has.",
            "",
            *_table(shown, tuple(shown[0])),
        ]
    return [*lines, *(f"- {said}" for said in coverage["sentences"]), ""]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100.0 * share:.1f} %"


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
    """Cross-validation tables, one per split, each with its baselines, differences and rarity classes."""
    lines = ["## Validation", "", str(validation.get("note", "")), ""]
    rows, shipped = validation["results"], validation.get("shipped")
    for key in sorted({_split_key(row) for row in rows}):
        here = [row for row in rows if _split_key(row) == key]
        first = here[0]
        repeats = f", {first['n_repeats']} draws of folds" if first.get("n_repeats", 1) > 1 else ""
        lines += [
            f"### {_split_title(first)}",
            "",
            f"{first['n_folds']} folds{repeats}, {first['n_sites']:,} sites, {first['n_species']:,} species.",
            "",
        ]
        if first.get("calibration"):
            lines += [f"Calibration: {first['calibration']}.", ""]
        lines += _table(here, ("model", *(name for name in _SHOWN if name in first)))
        if len(here) == 1:
            lines += ["No baseline was evaluated beside it.", ""]
        lines += _differences([d for d in validation.get("differences", ()) if _split_key(d) == key])
        main = next((row for row in here if row["model"] == shipped), first)
        lines += _rarity(main)
    shown = [name for name in COLUMNS if name in _SHOWN and any(name in row for row in rows)]
    lines += [f"- `{name}`: {COLUMNS[name][0]}" for name in shown]
    return [*lines, "", "Regenerate the tables:", "", "```", str(validation["command"]), "```", ""]


def _differences(differences: Sequence[Mapping[str, Any]]) -> list[str]:
    """How much better than each baseline, paired over species; nothing for cards without."""
    if not differences:
        return []
    level = float(differences[0].get("level", 0.95))
    lines = [
        f"{differences[0]['model']} minus each other model, paired over species, with the standard error and "
        f"the {level:.0%} interval of a bootstrap over species:",
        "",
    ]
    columns = ("minus", "measure", "mean", "standard_error", "low", "high", "n")
    return lines + _table(differences, columns)


def _rarity(row: Mapping[str, Any]) -> list[str]:
    """Scores of one model by number of records; nothing for cards without."""
    classes = row.get("by_rarity")
    if not classes:
        return []
    columns = ("rarity", "n_species", *(name for name in _SHOWN_BY_RARITY if name in classes[0]))
    return [f"{row['model']}, species by number of records:", "", *_table(classes, columns)]


def _split_key(row: Mapping[str, Any]) -> tuple[float, str]:
    """What rows of one split share; square blocks by size first, other splits after them by name."""
    block_deg = row.get("block_deg")
    return (float("inf"), str(row.get("split", ""))) if block_deg is None else (float(block_deg), "")


def _split_title(row: Mapping[str, Any]) -> str:
    """Heading of a split."""
    if row.get("block_deg") is not None:
        return f"Blocks of {row['block_deg']:g}°"
    name = str(row.get("split", ""))
    return name[:1].upper() + name[1:]


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
