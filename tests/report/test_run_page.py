"""The page of a run: what it shows, and what it does with damaged folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import edgesim as es
from edgesim.report import tables, trials
from edgesim.report.run_page import run_page
from edgesim.report.trials import shown_trials
from tests.report.conftest import Copied
from tests.report.parsed import check_page
from tests.report.test_page import HOSTILE


def test_a_page_of_plans(copied: Copied) -> None:
    """Key numbers, losses, timelines of all, pictures, tables, provenance."""
    folder = copied("plan")
    parsed = check_page(run_page(folder))
    summary = es.read_run(folder).summary
    numbers = parsed.text_of["numbers"]
    for name, entry in summary["solvers"].items():
        assert name in numbers
        assert f"{100 * entry['on_time_ratio']['mean']:.1f} ±" in numbers
    assert "Sharing gains dp +" in numbers
    assert "load" in numbers
    assert "idle" in numbers
    lost = parsed.text_of["lost"]
    assert "not scheduled" in lost
    for name, causes in summary["lost_to"].items():
        for cause, count in causes.items():
            assert cause in lost
            assert f"{count:,}" in lost[lost.index(name) :]
    made = [(one["name"], one["repeat"]) for one in parsed.trials()]
    names = ("dp", "dp-noshare", "greedy")
    assert made == [(name, repeat) for name in names for repeat in (0, 1)]
    assert any("resnet101/stem" in t for t in parsed.trials()[0]["texts"])
    pictures = [a["src"] or "" for tag, a in parsed.attributes if tag == "img"]
    assert len(pictures) == 2
    assert all(one.startswith("data:image/png;base64,") for one in pictures)
    rows = (folder / "requests.csv").read_text().count("\n") - 1
    assert f"All {rows} rows of requests.csv." in parsed.text_of["requests"]
    assert "planned_load_s" in parsed.text_of["rounds"]
    digest = es.read_run(folder).info["inputs"]["trace"]["sha256"]
    assert digest in parsed.text_of["provenance"]


def test_a_page_of_an_online_run(copied: Copied) -> None:
    """Losses by reason as the summary counts them; pictures are SVG here."""
    folder = copied("online")
    parsed = check_page(run_page(folder))
    entry = es.read_run(folder).entries["fcfs"]
    assert f"{entry['dropped_by']['too late']}" in parsed.text_of["lost"]
    assert "Sharing gains greedy +" in parsed.text_of["numbers"]
    assert "the warm-up, the first 20 s" in parsed.text_of["timeline"]
    pictures = [a["src"] or "" for tag, a in parsed.attributes if tag == "img"]
    assert len(pictures) == 4
    assert all(one.startswith("data:image/svg+xml;base64,") for one in pictures)


@pytest.mark.parametrize("name", ["plan", "online"])
def test_the_same_folder_gives_the_same_bytes(copied: Copied, name: str) -> None:
    """No date, no random id; what an earlier report left is not looked at."""
    folder = copied(name)
    html = run_page(folder)
    (folder / "report.html").write_text(html, encoding="utf-8")
    assert run_page(folder) == html


def test_a_folder_may_have_been_moved(copied: Copied, tmp_path: Path) -> None:
    """The page does not tell where the folder is."""
    assert str(tmp_path) not in run_page(copied("plan"))


def test_names_from_files_are_texts(copied: Copied) -> None:
    """A user, a model, a reason and a title that are HTML end no element."""
    folder = copied("plan")
    name = HOSTILE.replace("\ud800", "").replace("\x00", "")
    quoted = '"' + name.replace('"', '""') + '"'
    requests = (folder / "requests.csv").read_text(encoding="utf-8")
    requests = requests.replace(",u138,", f",{quoted},")
    requests = requests.replace(",not scheduled,", f",{quoted},")
    (folder / "requests.csv").write_text(requests, encoding="utf-8")
    rounds = (folder / "rounds.csv").read_text(encoding="utf-8")
    rounds = rounds.replace(",resnet101-v09,", f",{quoted},")
    (folder / "rounds.csv").write_text(rounds, encoding="utf-8")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    summary["scenario"] = HOSTILE
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    parsed = check_page(run_page(folder))
    scripts = parsed.tags.count("script")
    assert scripts == 4  # plotly, data, timeline, tables
    assert name in parsed.text_of["requests"]
    assert name in parsed.text_of["rounds"]


def test_a_large_run_is_cut_and_says_so(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables and timelines alike, each run getting its part."""
    folder = copied("online")
    monkeypatch.setattr(tables, "TABLE_ROWS", 30)
    monkeypatch.setattr(trials, "MOST", 50)
    parsed = check_page(run_page(folder))
    rows = (folder / "rounds.csv").read_text().count("\n") - 1
    assert (
        f"Shown are 30 of {rows:,} rows, the first of each run; rounds.csv has all"
        in parsed.text_of["rounds"]
    )
    for trial in parsed.trials():
        assert "shows the beginning" in trial["note"]
        assert 50 <= len(trial["texts"]) <= 150


def test_a_cut_takes_the_first_in_time(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests and rounds to the same time, and all requests of a shown round."""
    folder = copied("online")
    monkeypatch.setattr(trials, "TOTAL", 150)
    runs = es.read_run(folder)
    requests = runs.requests()
    for shown in shown_trials(runs, requests, runs.rounds(), folder):
        last_s = max(turn.load_start_s for turn in shown.turns)
        asked = [one for one in shown.requests if one.arrival_s <= last_s]
        of = requests["policy"] == shown.name
        arrived = of & (requests["arrival_s"] <= last_s)
        assert len(asked) == int(arrived.sum())
        for turn in shown.turns:
            computed = (requests["round"] == turn.round) & of
            members = [one for one in shown.requests if one.round == turn.round]
            assert len(members) == int(computed.sum())


@pytest.mark.parametrize("records", ["none", "window"])
def test_a_run_that_keeps_no_or_few_records(tmp_path: Path, records: str) -> None:
    """The page says so, and shows all else."""
    day = es.read_scenario("online-campus").replace(
        **{
            "workload.window_s": 40.0,
            "online.window_s": [20.0, 30.0],
            "online.records": records,
        }
    )
    folder = es.run(day, policies=["fcfs"]).write(tmp_path / "out")
    parsed = check_page(run_page(folder))
    assert f"online.records = '{records}'" in "".join(parsed.text_of.values())
    assert ("timeline-data" in parsed.scripts) == (records == "window")
    assert ("requests" in parsed.ids) == (records == "window")


def test_pictures_as_pdf_are_named(copied: Copied) -> None:
    """A browser cannot show them in place; none at all is said too."""
    folder = copied("plan")
    (folder / "throughput.png").rename(folder / "throughput.pdf")
    (folder / "timeline.png").unlink()
    said = check_page(run_page(folder)).text_of["pictures"]
    assert "throughput.pdf" in said
    (folder / "throughput.pdf").unlink()
    assert "no pictures" in check_page(run_page(folder)).text_of["pictures"]


def test_blocks_are_counted_where_no_schedule_names_them(copied: Copied) -> None:
    """A folder without its plans is a run all the same."""
    folder = copied("plan")
    (folder / "plans" / "0" / "dp.json").unlink()
    texts = check_page(run_page(folder)).trials()[0]["texts"]
    assert not any("resnet101/stem" in one for one in texts)
    assert any("35 blocks<br>in memory" in one for one in texts)


@pytest.mark.parametrize(
    ("file", "old", "new", "what"),
    [
        ("throughput.png", None, b"text", "must be a picture, PNG"),
        ("plans/1/greedy.json", b'"rounds"', b'"round"', "rounds"),
        ("plans/0/dp.json", None, b"{", "not JSON"),
        ("requests.csv", b",dp,", b",dq,", "solver: must be one of dp, dp-noshare"),
        ("rounds.csv", b",batch,", b",bitch,", "batch: required column is missing"),
        ("requests.csv", b",in time,", b",in tome,", "outcome: must be one of"),
        ("requests.csv", b",0.5,", b",,", "deadline_s: must hold a number in every"),
    ],
)
def test_damaged_files_are_named(
    copied: Copied, file: str, old: bytes | None, new: bytes, what: str
) -> None:
    """One error, with the file and what is wrong with it."""
    path = copied("plan") / file
    content = path.read_bytes()
    path.write_bytes(new if old is None else content.replace(old, new))
    with pytest.raises(es.InputError, match=what) as caught:
        run_page(path.parents[file.count("/")])
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("file", ["requests.csv", "rounds.csv"])
@pytest.mark.parametrize("wrong", ["", "-1", "x", "1e308", "9223372036854775807"])
def test_no_damaged_cell_ends_in_another_error(
    copied: Copied, file: str, wrong: str
) -> None:
    """Each column of the second row: shown as it is, or refused by the file's name."""
    path = copied("plan") / file
    head, first, second, *rest = path.read_text(encoding="utf-8").split("\n")
    for place in range(len(head.split(","))):
        cells = second.split(",")
        cells[place] = wrong
        changed = [head, first, ",".join(cells), *rest]
        path.write_text("\n".join(changed), encoding="utf-8")
        try:
            check_page(run_page(path.parent))
        except es.InputError as error:
            assert str(path) in str(error)  # noqa: PT017
