"""`python -m sdm_core.jobs run FOLDER`: the process of one job, started by `submit`."""

from __future__ import annotations

import sys
from pathlib import Path

from sdm_core.jobs.running import run


def main(arguments: list[str]) -> int:
    """Run the job of a folder."""
    if len(arguments) != 2 or arguments[0] != "run":
        print("python -m sdm_core.jobs: expected `run FOLDER`", file=sys.stderr)
        return 2
    return run(Path(arguments[1]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
