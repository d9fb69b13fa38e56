"""Write the family as instance files, for ``edgesim solve``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from edgesim.instances import write_instance
from tests.instances.cases import CASES, GROUPS, make


def main(words: Sequence[str] | None = None) -> None:
    """Write every case, or those of some groups, into a folder."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.instances",
        description="Write the cases of the family as edgesim.instance/1 files. A "
        "file is named after its case, and a case ends in its uplink discipline: "
        "edgesim solve FOLDER/NAME-dynamic.json --uplink dynamic ...",
    )
    parser.add_argument("folder", type=Path, help="made if it is not there")
    parser.add_argument(
        "--group",
        action="append",
        choices=tuple(GROUPS),
        help="only this group; may be given several times",
    )
    chosen = parser.parse_args(words)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        if chosen.group is None or case.group in chosen.group:
            write_instance(chosen.folder / f"{case.name}.json", make(case))


if __name__ == "__main__":
    main()
