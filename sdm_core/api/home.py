"""The start page of the interface: every address with an example, in one file that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

_STYLE = """
:root{color-scheme:light dark;--ink:#22282b;--muted:#5b6469;--line:#dfe4e2;--ground:#fff;--soft:#f3f6f4;
--accent:#1f6f54}
@media(prefers-color-scheme:dark){:root{--ink:#e8eeec;--muted:#a9b5b5;--line:#313b3d;--ground:#14191b;
--soft:#1d2426;--accent:#6cc5a1}}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);
font:16px/1.5 "Source Sans 3","Liberation Sans",Arial,sans-serif}
main{max-width:56rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:1.9rem;margin:0 0 .25rem}h2{font-size:1.15rem;margin:2.25rem 0 .5rem}
p{margin:.5rem 0;max-width:44rem}.muted,dd{color:var(--muted)}a{color:var(--accent)}
code,pre{font-family:"Liberation Mono",ui-monospace,monospace;font-size:.86rem}
dl{margin:0;border-top:1px solid var(--line)}dt{padding:.6rem 0 0;overflow-wrap:anywhere}
dd{margin:0;padding:0 0 .6rem;border-bottom:1px solid var(--line)}
.method{display:inline-block;min-width:3.6rem;font-weight:600;font-size:.75rem;color:var(--accent)}
pre{background:var(--soft);border-radius:8px;padding:.8rem 1rem;overflow-x:auto}
"""
_GEOJSON = '{"type":"Polygon","coordinates":[[[0.4,42.45],[1.2,42.45],[1.2,42.75],[0.4,42.75],[0.4,42.45]]]}'

#: What the example of an address needs to be asked.
_QUERIES = {"/cells": "?longitude=0.4&latitude=42.8", "/regions": "?place=Pyrenees", "/species": "?q=oak"}


def page(document: Mapping[str, Any], atlases: Sequence[str]) -> str:
    """HTML of the start page, from the OpenAPI document and the names of the atlases."""
    atlas = atlases[0] if atlases else "ATLAS"
    groups: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            subject = (operation.get("tags") or ["Other"])[0]
            groups.setdefault(subject, []).append(_entry(path, method, operation, atlas))
    lists = "".join(
        f"<h2>{html.escape(name)}</h2><dl>{''.join(items)}</dl>" for name, items in groups.items()
    )
    intro = "".join(
        f"<p>{_plain(part)}</p>" for part in document["info"]["description"].strip().split("\n\n")
    )
    where = f"v1/atlases/{quote(atlas)}"
    examples = html.escape(
        f"curl -s 'ADDRESS/{where}/species?q=beech'\n"
        f"curl -s 'ADDRESS/{where}/regions?place=Pyrenees&species=10'\n"
        f"curl -s -H 'Content-Type: application/json' -d '{_GEOJSON}' ADDRESS/{where}/regions\n"
        "jq -n --rawfile list my-list.csv '{status_lists:[{name:\"my-list.csv\",text:$list}]}' |\n"
        f"  curl -s -H 'Content-Type: application/json' -d @- 'ADDRESS/{where}/regions?place=Pyrenees'\n"
        f"rio info ADDRESS/v1/stac/{atlas}/richness/richness.tif"
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>Florascope · programming interface</title><style>{_STYLE}</style><main>"
        f"<h1>Florascope</h1><p class=muted>Programming interface, version 1 · "
        f"<a href='openapi.json'>OpenAPI document</a> · <a href='../'>back to the map</a></p>{intro}"
        "<h2>Examples</h2><p class=muted>ADDRESS is the address of this page, without its last slash.</p>"
        f"<pre>{examples}</pre>{lists}</main></html>"
    )


def _entry(path: str, method: str, operation: Mapping[str, Any], atlas: str) -> str:
    shown = html.escape(path)
    example = path.replace("{atlas}", quote(atlas)).lstrip("/")
    if method == "get" and "{" not in example:
        example += next((query for end, query in _QUERIES.items() if example.endswith(end)), "")
        shown = f"<a href='{html.escape(example)}'>{shown}</a>"
    text = _plain(str(operation.get("description") or operation.get("summary") or ""))
    return f"<dt><span class=method>{method.upper()}</span> <code>{shown}</code></dt><dd>{text}</dd>"


def _plain(text: str) -> str:
    """A paragraph of the description, with its code marked."""
    parts = html.escape(text, quote=False).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))
