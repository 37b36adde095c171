"""The house keeps its shape: data flows one way, and the engine never knows the page."""

from __future__ import annotations

import ast
from pathlib import Path

from sdm_core import config

ENGINE = config.ROOT_DIR / "sdm_core"
#: A room may import rooms of earlier lines and, within a line, nothing of its neighbours but what is listed.
ORDER = (
    "errors config colours",
    "writing",
    "jobs",
    "occurrences covariates",
    "naming",
    "taxa statuses",
    "regions",
    "features",
    "losses",
    "models",
    "training",
    "evaluation",
    "prediction",
    "registry",
    "assemblages diversity",
    "intervals",
    "indicators",
    "applicability",
    "observed",
    "exports",
    "reports",
    "pipeline",
    "on_demand",
    "api",
    "benchmarks",
    "commands",
    "__main__",
)
STEP = {room: step for step, line in enumerate(ORDER) for room in line.split()}


def _imports(path: Path) -> set[str]:
    """Absolute module names imported anywhere in a file, lazy imports included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def _room(path: Path) -> str:
    return path.relative_to(ENGINE).parts[0].removesuffix(".py")


def test_every_module_imports_only_from_earlier_steps():
    wrong = []
    for path in ENGINE.rglob("*.py"):
        room = _room(path)
        if room == "__init__" or path.parent.name == "templates":  # a script that a report carries
            continue
        assert room in STEP, f"{room} has no place in the data flow: add it to ORDER"
        for module in _imports(path):
            parts = module.split(".")
            if parts[0] != "sdm_core" or len(parts) < 2 or parts[1] not in STEP or parts[1] == room:
                continue
            if STEP[parts[1]] > STEP[room]:
                wrong.append(f"{path.relative_to(ENGINE)} imports {parts[1]}, which comes after {room}")
    assert not wrong, "\n".join(wrong)


def test_engine_never_imports_streamlit_or_the_pages():
    for path in ENGINE.rglob("*.py"):
        for module in _imports(path):
            assert module.split(".")[0] not in {"streamlit", "pages"}, f"{path} imports {module}"
