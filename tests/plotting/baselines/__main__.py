"""Draw the committed pictures again: ``python -m tests.plotting.baselines``."""

from __future__ import annotations

import sys

from tests.plotting.baselines import DRAWINGS, FOLDER, MADE_WITH, version, write


def main() -> int:
    """Draw all of them, and delete those that the table no longer has."""
    if version() != MADE_WITH:
        wanted = ".".join(map(str, MADE_WITH))
        print(f"error: must be drawn with matplotlib {wanted}", file=sys.stderr)
        return 1
    for path in FOLDER.glob("*.png"):
        if path.stem not in DRAWINGS:
            path.unlink()
    for name in DRAWINGS:
        write(name)
        print(f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
