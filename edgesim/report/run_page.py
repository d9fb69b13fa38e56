"""The page of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgesim.plotting.colours import looks
from edgesim.report.key_numbers import key_numbers, lost_tables, measures_table
from edgesim.report.page import (
    data,
    facts,
    folded,
    own_file,
    page,
    paragraph,
    script,
    section,
)
from edgesim.report.pictures import pictures
from edgesim.report.tables import table_of_columns
from edgesim.report.timeline import library_script, timeline
from edgesim.report.trials import shown_trials
from edgesim.results import online_summary, plan_summary
from edgesim.results.columns import Columns
from edgesim.results.provenance import library_text
from edgesim.results.runs import Runs, read_run
from edgesim.text import counted, seconds

_CONTROLS = """<div class="controls" id="timeline-controls" hidden>
<label>{kind} <select id="timeline-name"></select></label>
<label>repeat <select id="timeline-repeat"></select></label>
<span>
<button type="button" id="timeline-earlier">earlier</button>
<button type="button" id="timeline-later">later</button>
<button type="button" id="timeline-closer">closer</button>
<button type="button" id="timeline-wider">wider</button>
<button type="button" id="timeline-whole">whole time</button>
</span>
</div>
<p id="timeline-note" aria-live="polite"></p>
<div id="timeline-plot"></div>
<noscript><p>The timeline needs JavaScript; all else is readable without.</p></noscript>
"""


def run_page(folder: Path) -> str:
    """Make the page of a run's folder.

    Raises
    ------
    InputError
        If the folder holds no run, or one of its files is damaged.
    """
    runs = read_run(folder)
    requests = runs.requests() if runs.keeps_records else None
    rounds = runs.rounds() if runs.keeps_records else None
    sections = [
        section("numbers", "Key numbers", key_numbers(runs)),
        section("lost", "What requests were lost to", lost_tables(runs, requests)),
    ]
    scripts: list[str] = []
    if requests is None or rounds is None:
        why = "The scenario keeps no requests and rounds (online.records = 'none')."
        sections.append(section("timeline", "Timeline", paragraph(why)))
    else:
        trials = shown_trials(runs, requests, rounds, folder)
        seen = looks(runs.entries)
        timelines = [timeline(one, seen[one.name].colour) for one in trials]
        figures = {"kind": runs.kind, "trials": timelines}
        sections.append(
            section(
                "timeline",
                "Timeline",
                paragraph(_how_to_read(runs), "note"),
                _CONTROLS.format(kind=runs.kind),
            )
        )
        scripts = [
            script(library_script()),
            data("timeline-data", figures),
            script(own_file("timeline.js")),
        ]
    sections.append(section("pictures", "Pictures", _pictures(runs, folder)))
    sections.append(section("measures", "Measures", measures_table(runs)))
    sections += _tables(runs, requests, rounds)
    sections.append(section("provenance", "Where this comes from", _provenance(runs)))
    return page(runs.summary["scenario"], _about(runs), sections, scripts)


def _about(runs: Runs) -> str:
    """Say what was run, in a few sentences."""
    summary = runs.summary
    about = runs.info["scenario"].get("about")
    names = ", ".join(runs.entries)
    plural = "policies" if runs.kind == "policy" else "solvers"
    said = [f"{about.rstrip('.')}."] if isinstance(about, str) and about else []
    said.append(
        f"{counted(len(runs.entries), runs.kind, plural)} ({names}), "
        f"{counted(summary['repeats'], 'repeat')} of "
        f"{counted(round(_mean(summary['requests'])), 'request')} on average, "
        f"{summary['uplink']} uplink."
    )
    said.append(f"{library_text(summary['library'])}.")
    return " ".join(said)


def _mean(values: list[int]) -> float:
    return sum(values) / len(values)


def _how_to_read(runs: Runs) -> str:
    upper = "Above, a row for each request"
    if runs.kind == "policy":
        upper = "Above, requests, each on a row that is free"
    warmup_s = runs.summary.get("warmup_s", 0)
    warm = ""
    if warmup_s:
        warm = (
            f" Timeline and tables include the warm-up, the first {warmup_s:g} s; the "
            "key numbers leave it out."
        )
    return (
        f"{upper}: its upload, its wait, its batch, and its deadline as a tick. Below, "
        "the GPU: hatched loads, plain batches, and the share of each model's bytes "
        "that was in memory already. Drag to zoom, double-click to go back; point at a "
        f"bar to read more.{warm}"
    )


def _pictures(runs: Runs, folder: Path) -> str:
    online = runs.kind == "policy"
    stems = online_summary.PICTURES if online else plan_summary.PICTURES
    return pictures(folder, stems) or paragraph("The folder holds no pictures.")


def _tables(runs: Runs, requests: Columns | None, rounds: Columns | None) -> list[str]:
    if requests is None or rounds is None:
        return []
    groups = ("repeat", runs.kind)
    note = paragraph(
        "A click on a column's name sorts by it. Decimals are cut to six places, which "
        "for times is a microsecond.",
        "note",
    )
    window = ""
    online = runs.info["scenario"].get("online") or {}
    if online.get("records") == "window":
        window = paragraph(
            "The scenario keeps only the requests and rounds of online.window_s "
            "(online.records = 'window').",
            "note",
        )
    return [
        section(
            "requests",
            "Requests",
            window,
            table_of_columns(requests, groups, "requests.csv"),
            note,
        ),
        section(
            "rounds",
            "Rounds",
            window,
            table_of_columns(rounds, groups, "rounds.csv"),
        ),
    ]


def _provenance(runs: Runs) -> str:
    info: dict[str, Any] = runs.info
    pairs = [
        ("edgesim", info["edgesim"]),
        ("Python", info["python"]),
        ("packages", ", ".join(f"{n} {v}" for n, v in info["packages"].items())),
        ("seed", str(runs.summary["seed"])),
    ]
    for role, source in info["inputs"].items():
        hashed = source["sha256"]
        of = "given as a value" if hashed is None else f"SHA-256 {hashed}"
        pairs.append((role, f"{source['file']}, {of}"))
    pairs += [("assumed", line) for line in info["assumed"]]
    pairs += [(f"failed: {n}", why) for n, why in info.get("failed", {}).items()]
    pairs += [
        (f"run time of {name}", seconds(sum(info["runtime_s"][name])))
        for name in runs.entries
    ]
    scenario = json.dumps(info["scenario"], indent=1, ensure_ascii=False)
    return facts(pairs) + folded("The scenario, with all its values", scenario)
