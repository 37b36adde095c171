"""From the content of a report to its two editions: one HTML file, and the same page set on A4 as PDF."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from sdm_core.errors import ReportError

logger = logging.getLogger(__name__)

TEMPLATES_DIR = Path(__file__).resolve().parent / "templates"
NO_PDF = (
    "The PDF could not be made, because WeasyPrint or the Pango library it needs is missing ({reason}); "
    "install them (see the README), or print report.html from a browser."
)


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES_DIR),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_html(content: Mapping[str, Any], *, edition: str = "screen") -> str:
    """The report as one HTML page that asks for nothing outside itself.

    `edition` "screen" has the sortable table of all species; "print" has the compact list instead and the
    page rules for A4. Every text is escaped by the template.
    """
    styles = ["report.css", "print.css" if edition == "print" else "screen.css"]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            r=content,
            edition=edition,
            css=Markup("\n".join(_text(name) for name in styles)),
            script=Markup(_text("sort.js")),
        )
    )


def render_comparison(content: Mapping[str, Any]) -> str:
    """The page that sets several regions side by side, in one file."""
    return (
        _environment()
        .get_template("comparison.html.j2")
        .render(r=content, css=Markup("\n".join(_text(name) for name in ("report.css", "screen.css"))))
    )


def render_pdf(content: Mapping[str, Any], path: Path) -> None:
    """Set the print edition on A4, tagged for screen readers, and write it to `path`.

    Raises:
        ReportError: WeasyPrint or a library it needs is not installed.
    """
    try:
        import weasyprint
        from weasyprint.urls import URLFetcher
    except (ImportError, OSError) as error:
        raise ReportError(NO_PDF.format(reason=str(error).splitlines()[0])) from error
    # Everything is inlined; an address that is not would be a mistake, so none but data: is fetched.
    weasyprint.HTML(
        string=render_html(content, edition="print"), url_fetcher=URLFetcher(allowed_protocols=("data",))
    ).write_pdf(path, pdf_tags=True)


@functools.cache
def _text(name: str) -> str:
    return (TEMPLATES_DIR / name).read_text(encoding="utf-8").strip()
