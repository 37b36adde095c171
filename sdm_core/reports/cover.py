"""Section 1 of a report: the numbers on the cover and the sentences of the one-page answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from markupsafe import Markup

from sdm_core.applicability import Trust
from sdm_core.indicators import Indicator, RegionSummary, format_number
from sdm_core.reports import red_lists, text, wording
from sdm_core.reports.facts import top_species


def cover_cards(summary: RegionSummary, trust: Trust) -> list[dict[str, str]]:
    """The five numbers on the cover: label, value and a note each."""
    lower, effective = summary["gamma_lower"], summary["hill_1"]
    return [
        {
            "label": "species expected in a cell (α)",
            "value": text.count_like(summary.value("alpha_expected")),
            "note": _alpha_note(summary),
        },
        {
            "label": f"species in the region (γ), rule “{summary.rule}”",
            "value": summary["gamma"].shown,
            "note": f"at least {text.count_like(lower.value)} expected "
            f"({text.count_like(lower.low)}–{text.count_like(lower.high)}, 90 %)",
        },
        {
            "label": "Shannon index of the region (H′, nats)",
            "value": summary["shannon"].shown,
            "note": _joined(
                _interval(summary["shannon"]),
                f"as {text.count_like(effective.value)} equally widespread species",
            ),
        },
        _group_card(summary),
        {"label": "trust grade (A–D)", "value": trust.grade, "note": trust.grade_text},
    ]


def interval_sentence(summary: RegionSummary) -> str:
    """What an interval on the first page means; "" where the atlas has no error model."""
    for name in ("alpha_expected", "shannon", "weighted_endemism"):
        if summary[name].interval_text:
            return f"Intervals: {summary['alpha_expected'].interval_text or summary[name].interval_text}."
    return ""


def _alpha_note(summary: RegionSummary) -> str:
    """Interval of the mean where errors are known, and the range between cells."""
    between = summary["alpha_range"]
    return _joined(
        _interval(summary["alpha_expected"]),
        f"{text.count_like(between.low)}–{text.count_like(between.high)} between cells"
        if np.isfinite(between.low) and summary.n_cells > 1
        else "",
    )


def _interval(indicator: Indicator) -> str:
    return _ends(indicator.low, indicator.high, lambda end: format_number(end, indicator.text.digits))


def _ends(low: float, high: float, shown: Callable[[float], str]) -> str:
    return f"{shown(low)}–{shown(high)} (90 %)" if np.isfinite(low) else ""


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _group_card(summary: RegionSummary) -> dict[str, str]:
    """Threat where a Red List was added, else endemics where known, else the rank in the atlas."""
    for listed in red_lists.red_lists(summary):
        numbers = listed.official
        if numbers is not None and np.isfinite(numbers.threatened_share):
            return {
                "label": f"of assessed species threatened, {listed.listed}",
                "value": red_lists.share_text(numbers.threatened_share),
                "note": _joined(
                    _ends(numbers.share_low, numbers.share_high, red_lists.share_text),
                    f"{text.percent(numbers.unassessed_percent / 100)} not assessed",
                ),
            }
    endemic = summary.groups.get("endemic")
    if endemic is not None and endemic.unassessed_percent < 100.0:
        return {
            "label": f"endemic species, rule “{summary.rule}”",
            "value": text.whole(endemic.by_rule),
            "note": _joined(
                f"at least {text.count_like(endemic.expected)} expected",
                _ends(endemic.low, endemic.high, text.count_like),
                f"{text.sensible(endemic.unassessed_percent, 2)} % of species not assessed"
                if endemic.unassessed_percent
                else "",
            ),
        }
    return {
        "label": "of the atlas’ area is poorer in species",
        "value": f"{text.sensible(summary.percentiles['richness'], 2)}{text.UNIT_SPACE}%",
        "note": "than the region’s mean cell",
    }


def sentences(summary: RegionSummary) -> list[str]:
    """What the region holds, in plain sentences."""
    area = summary.value("area_km2")
    cells = f"{text.counted(summary.n_cells, 'cell')} that cover" + ("s" if summary.n_cells == 1 else "")
    said: list[str] = [
        (f"The region covers {text.area(area)}. " if np.isfinite(area) else "")
        + f"The atlas describes it with {cells} {text.area(summary.value('cell_area_km2'))}.",
        f"{summary.sentence('alpha_expected')} {_percentile_sentence(summary)}"
        if summary.n_cells > 1
        else f"This cell is expected to hold {summary['alpha_expected'].shown} species. "
        f"{_percentile_sentence(summary)}",
        f"{summary.sentence('gamma')} {summary.sentence('gamma_lower')}",
        summary.sentence("beta_whittaker") if np.isfinite(summary.value("beta_whittaker")) else "",
    ]
    widest = [Markup("<i>{}</i>").format(name) for name, _ in top_species(summary, 3)]
    if widest:
        verb = "is" if len(widest) == 1 else "are"
        said.append(Markup(f"The most widespread of them {verb} {text.listed(widest)}."))
    said.extend(_group_sentences(summary))
    said.extend(listed.sentence for listed in red_lists.red_lists(summary)[:2])
    return [sentence for sentence in said if sentence]


def _percentile_sentence(summary: RegionSummary) -> str:
    share = summary.percentiles.get("richness", np.nan)
    if not np.isfinite(share):
        return ""
    return f"That is more than in {text.sensible(share, 2)} % of the area of the atlas."


def _group_sentences(summary: RegionSummary) -> list[str]:
    said = []
    for name, words in wording.GROUP_SENTENCES.items():
        group = summary.groups.get(name)
        if group is None or not (group.by_rule or group.expected >= 0.5):
            continue
        ends = _ends(group.low, group.high, text.count_like)
        said.append(
            words.format(
                by_rule=text.whole(group.by_rule),
                verb="is" if group.by_rule == 1 else "are",
                expected=text.count_like(group.expected),
                interval=f", {ends}" if ends else "",
            )
        )
    return said
