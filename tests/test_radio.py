"""The radio cell: path loss and CQI tables by the standards, draws by statistics."""

from __future__ import annotations

import csv
import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgesim import radio
from edgesim.radio import CellSpec
from tests.shared_data import require_shared


def links(
    x_m: list[float], y_m: list[float], spec: radio.CellSpec, rng: np.random.Generator
) -> tuple[radio.Floats, radio.Floats]:
    """Draw mean SNRs and efficiencies of users at given places."""
    loss_db = radio.path_loss_db(np.hypot(x_m, y_m), spec, rng)
    snr_db = radio.mean_snr_db(loss_db, spec)
    return snr_db, radio.faded_efficiency(snr_db, spec, rng)


def cell(**changes: Any) -> CellSpec:
    """Make a 20 MHz cell of 200 m."""
    return CellSpec.model_validate({"bandwidth_hz": 20e6, "radius_m": 200.0} | changes)


def rng(seed: int = 1) -> np.random.Generator:
    """Make a generator."""
    return np.random.default_rng(seed)


def test_users_fill_the_ring_uniformly() -> None:
    """Equal areas hold equal shares, inside the ring and all around the station."""
    spec = cell(min_distance_m=50.0)
    x_m, y_m = radio.place_users(40_000, spec, rng())
    distance = np.hypot(x_m, y_m)
    assert distance.min() >= 50 - 1e-9
    assert distance.max() <= 200 + 1e-9
    for within in (80.0, 120.0, 160.0):
        share = (within**2 - 50**2) / (200**2 - 50**2)
        assert np.mean(distance <= within) == pytest.approx(share, abs=0.01)
    for side in (x_m > 0, y_m > 0, x_m > y_m):
        assert np.mean(side) == pytest.approx(0.5, abs=0.01)


def test_free_space_loss() -> None:
    """1 m at 3.5 GHz loses 43.32 dB; ten times the distance or carrier 20 dB more."""
    assert radio.free_space_loss_db(1.0, 3.5e9) == pytest.approx(43.3231, abs=1e-3)
    assert radio.free_space_loss_db(10.0, 3.5e9) == pytest.approx(63.3231, abs=1e-3)
    assert radio.free_space_loss_db(1.0, 35e9) == pytest.approx(63.3231, abs=1e-3)


def test_log_distance_loss() -> None:
    """Exponent 3: 30 dB a decade from the reference at 1 m; below 1 m no less."""
    loss = radio.log_distance_loss_db([0.0, 0.5, 1.0, 10.0, 100.0], 40.0, 3.0)
    assert loss == pytest.approx([40, 40, 40, 70, 100], abs=1e-12)


@pytest.mark.parametrize(
    ("distance_m", "clear_db", "blocked_db"),
    [
        (10.0, 66.7610, 73.4569),
        (100.0, 85.3142, 104.6438),
        (200.0, 91.6112, 115.2288),
        (300.0, 98.2443, 121.4372),
        (1000.0, 119.1531, 139.8892),
    ],
)
def test_umi_loss_at_3_5_ghz(
    distance_m: float, clear_db: float, blocked_db: float
) -> None:
    """TR 38.901 Table 7.4.1-1 by hand, heights 10 m and 1.5 m, breakpoint 210 m.

    At 100 m: slant sqrt(100² + 8.5²) = 100.3606 m, so with line of sight
    32.4 + 21 · 2.001563 + 20 · 0.544068 = 85.3142 dB, and without it
    22.4 + 35.3 · 2.001563 + 21.3 · 0.544068 = 104.6438 dB. At 300 m:
    32.4 + 40 · 2.477295 + 20 · 0.544068 − 9.5 · log10(210² + 8.5²) = 98.2443 dB.
    """
    assert radio.umi_loss_db(distance_m, True, 3.5e9) == pytest.approx(
        clear_db, abs=1e-3
    )
    assert radio.umi_loss_db(distance_m, False, 3.5e9) == pytest.approx(
        blocked_db, abs=1e-3
    )


def test_umi_loss_is_continuous_at_the_breakpoint() -> None:
    """Both slopes meet at 4 · 9 · 0.5 · 3.5e9 / 3e8 = 210 m, and bend upwards there."""
    below, at, above = radio.umi_loss_db([209.999, 210.0, 210.001], True, 3.5e9)
    assert below == pytest.approx(at, abs=1e-3)
    assert above == pytest.approx(at, abs=1e-3)
    assert above - at > 1.5 * (at - below)


def test_umi_loss_rises_with_distance_and_without_sight() -> None:
    """Never less farther away, never less without line of sight; flat below 10 m."""
    distance = np.linspace(0, 5000, 2001)
    for carrier_hz in (0.5e9, 3.5e9, 28e9, 100e9):
        clear = radio.umi_loss_db(distance, True, carrier_hz)
        blocked = radio.umi_loss_db(distance, False, carrier_hz)
        assert np.all(np.diff(clear) >= 0)
        assert np.all(np.diff(blocked) >= 0)
        assert np.all(blocked >= clear)
        assert radio.umi_loss_db(0.0, True, carrier_hz) == clear[4]  # that at 10 m


def test_a_higher_user_loses_less_without_sight() -> None:
    """The NLOS formula credits 0.3 dB a metre above 1.5 m (beside the slant)."""
    low = radio.umi_loss_db(100.0, False, 3.5e9, ue_height_m=1.5)
    high = radio.umi_loss_db(100.0, False, 3.5e9, ue_height_m=5.5)
    slant = 35.3 * math.log10(math.hypot(100, 8.5) / math.hypot(100, 4.5))
    assert low - high == pytest.approx(0.3 * 4 + slant, abs=1e-9)


def test_line_of_sight_probability() -> None:
    """TR 38.901 Table 7.4.2-1: 1 up to 18 m, 0.2310 at 100 m, towards 18/d and 0."""
    chance = radio.umi_los_probability([0.0, 5.0, 18.0, 36.0, 100.0])
    expected = [1, 1, 1, 0.5 + 0.5 / math.e, 0.18 + 0.82 * math.exp(-100 / 36)]
    assert chance == pytest.approx(expected, abs=1e-12)
    assert chance[4] == pytest.approx(0.2310, abs=1e-4)
    assert radio.umi_los_probability(1e6) == pytest.approx(18e-6, rel=1e-6)
    assert np.all(np.diff(radio.umi_los_probability(np.linspace(18, 1000, 500))) < 0)


def test_umi_draws_sight_and_shadowing_as_the_tables_say() -> None:
    """At 60 m both states appear by their chance, spread by 4 and 7.82 dB."""
    distance = np.full(60_000, 60.0)
    plain = radio.path_loss_db(distance, cell(shadowing_db=0.0), rng())
    levels, counts = np.unique(plain, return_counts=True)
    clear = float(radio.umi_loss_db(60.0, True, 3.5e9))
    blocked = float(radio.umi_loss_db(60.0, False, 3.5e9))
    assert levels == pytest.approx([clear, blocked], abs=1e-9)
    chance = float(radio.umi_los_probability(60.0))
    assert counts[0] / counts.sum() == pytest.approx(chance, abs=0.01)
    shadowed = radio.path_loss_db(distance, cell(), rng())
    for level, sigma_db in ((clear, 4.0), (blocked, 7.82)):
        shadow = (shadowed - plain)[np.isclose(plain, level)]
        assert shadow.mean() == pytest.approx(0, abs=0.15)
        assert shadow.std() == pytest.approx(sigma_db, rel=0.02)


def test_shadowing_can_be_replaced() -> None:
    """log-distance has none of its own; a given deviation holds for any model."""
    distance = np.full(40_000, 100.0)
    flat = cell(path_loss="log-distance", reference_loss_db=40.0)
    assert np.ptp(radio.path_loss_db(distance, flat, rng())) == 0
    assert radio.path_loss_db(distance, flat, rng())[0] == pytest.approx(100.0)
    given = cell(path_loss="log-distance", reference_loss_db=40.0, shadowing_db=6.0)
    assert radio.path_loss_db(distance, given, rng()).std() == pytest.approx(
        6, rel=0.02
    )


def test_log_distance_starts_from_free_space() -> None:
    """Without a reference the loss at 1 m is that of free space at the carrier."""
    spec = cell(path_loss="log-distance", path_loss_exponent=2.0, carrier_hz=2e9)
    assert radio.path_loss_db([50.0], spec, rng())[0] == pytest.approx(
        float(radio.free_space_loss_db(50.0, 2e9)), abs=1e-9
    )


def test_models_draw_alike() -> None:
    """Whatever the options, the generator ends in the same state (common numbers)."""
    states = []
    for options in (
        {},
        {"path_loss": "log-distance"},
        {"fading": "none", "shadowing_db": 0.0},
        {"efficiency": "cqi-table-2"},
    ):
        generator = rng()
        links([30.0, 90.0], [40.0, 120.0], cell(**options), generator)
        states.append(generator.random())
    assert len(set(states)) == 1


def test_mean_snr_is_a_ratio_of_densities() -> None:
    """23 dBm over 20 MHz, 100 dB of loss, −174 + 5 dBm/Hz of noise: 18.99 dB."""
    assert radio.mean_snr_db(100.0, cell()) == pytest.approx(
        23 - 10 * math.log10(20e6) - 100 + 169, abs=1e-12
    )
    assert radio.mean_snr_db(100.0, cell()) == pytest.approx(18.9897, abs=1e-4)
    doubled = radio.mean_snr_db(100.0, cell(bandwidth_hz=40e6))
    assert doubled == pytest.approx(18.9897 - 3.0103, abs=1e-4)
    quiet = cell(noise_figure_db=2.0, noise_dbm_per_hz=-170.0, tx_power_dbm=20.0)
    assert radio.mean_snr_db(100.0, quiet) == pytest.approx(18.9897 - 4, abs=1e-4)


def test_rayleigh_power_is_exponential() -> None:
    """Mean 1 and P(gain <= g) = 1 − exp(−g), within what 100,000 draws allow."""
    gain = radio.fading_gain(100_000, rng())
    assert gain.mean() == pytest.approx(1, abs=0.01)
    for level in (0.1, 0.5, 1.0, 2.0, 4.0):
        chance = 1 - math.exp(-level)
        assert np.mean(gain <= level) == pytest.approx(chance, abs=0.006)


def test_fading_moves_the_efficiency_and_can_be_off() -> None:
    """With Rayleigh the mean SNR in linear terms is kept; without, nothing moves."""
    snr_db = np.full(100_000, 10.0)
    faded = radio.faded_efficiency(snr_db, cell(), rng())
    assert np.mean(2**faded - 1) == pytest.approx(10, rel=0.01)
    assert np.std(faded) > 0.5
    still = radio.faded_efficiency(snr_db, cell(fading="none"), rng())
    assert still == pytest.approx(math.log2(11), abs=1e-12)
    assert radio.faded_efficiency(5.0, cell(fading="none"), rng()).shape == ()


def test_shannon_with_gap_and_cap() -> None:
    """log2(1 + SNR / gap): SNR 15 dB, gap 3 dB is SNR 12 dB without; then the cap."""
    assert radio.spectral_efficiency(0.0, cell()) == pytest.approx(1, abs=1e-12)
    assert radio.spectral_efficiency(15.0, cell(snr_gap_db=3.0)) == pytest.approx(
        math.log2(1 + 10**1.2), abs=1e-12
    )
    capped = cell(max_spectral_efficiency=4.8)
    assert radio.spectral_efficiency([0.0, 50.0], capped) == pytest.approx([1, 4.8])
    assert radio.spectral_efficiency(-np.inf, cell()) == 0


@pytest.mark.parametrize(
    ("table", "file", "efficiency", "snr_db"),
    [
        (
            "cqi-table-1",
            "cqi_38214_5.2.2.1-2_table1.csv",
            radio.CQI_TABLE_1_EFFICIENCY,
            radio.CQI_TABLE_1_SNR_DB,
        ),
        (
            "cqi-table-2",
            "cqi_38214_5.2.2.1-3_table2_256qam.csv",
            radio.CQI_TABLE_2_EFFICIENCY,
            radio.CQI_TABLE_2_SNR_DB,
        ),
    ],
)
def test_cqi_tables_are_those_of_the_standard(
    table: str, file: str, efficiency: tuple[float, ...], snr_db: tuple[float, ...]
) -> None:
    """Efficiencies are TS 38.214's; thresholds of table 1 the customary ones."""
    with require_shared(f"reference/{file}").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert efficiency == tuple(float(row["spectral_efficiency"]) for row in rows)
    for row in rows:  # the column is qm · rate / 1024, rounded by the standard
        exact = int(row["qm"]) * int(row["code_rate_x1024"]) / 1024
        assert float(row["spectral_efficiency"]) == pytest.approx(exact, abs=6e-5)
    if table == "cqi-table-1":
        custom = tuple(float(row["sinr_db_threshold_nonstandard"]) for row in rows)
        assert snr_db == custom


def test_table_2_agrees_with_table_1_where_they_meet() -> None:
    """Same efficiency, same threshold; 256QAM keeps the distance to Shannon."""
    one = dict(zip(radio.CQI_TABLE_1_EFFICIENCY, radio.CQI_TABLE_1_SNR_DB, strict=True))
    two = dict(zip(radio.CQI_TABLE_2_EFFICIENCY, radio.CQI_TABLE_2_SNR_DB, strict=True))
    common = one.keys() & two.keys()
    assert len(common) == 12
    assert all(one[e] == two[e] for e in common)
    gaps = [two[e] - 10 * math.log10(2**e - 1) for e in (6.2266, 6.9141, 7.4063)]
    assert gaps == pytest.approx([22.7 - 10 * math.log10(2**5.5547 - 1)] * 3, abs=1e-9)
    assert list(radio.CQI_TABLE_2_SNR_DB[12:]) == pytest.approx(
        [24.75, 26.84, 28.34], abs=0.02
    )


@pytest.mark.parametrize("table", ["cqi-table-1", "cqi-table-2"])
def test_cqi_steps_at_its_thresholds(table: str) -> None:
    """The threshold itself is enough, a hair less is not; below the lowest, no link."""
    spec = cell(efficiency=table)
    steps = {
        "cqi-table-1": (radio.CQI_TABLE_1_SNR_DB, radio.CQI_TABLE_1_EFFICIENCY),
        "cqi-table-2": (radio.CQI_TABLE_2_SNR_DB, radio.CQI_TABLE_2_EFFICIENCY),
    }[table]
    thresholds, efficiencies = np.array(steps[0]), np.array(steps[1])
    assert np.all(np.diff(thresholds) > 0)
    at = radio.spectral_efficiency(thresholds, spec)
    below = radio.spectral_efficiency(thresholds - 1e-9, spec)
    assert np.array_equal(at, efficiencies)
    assert np.array_equal(below, [0.0, *efficiencies[:-1]])
    assert radio.spectral_efficiency([-np.inf, 90.0], spec) == pytest.approx(
        [0, efficiencies[-1]]
    )


@pytest.mark.parametrize("name", ["shannon", "cqi-table-1", "cqi-table-2"])
def test_efficiency_rises_with_snr_and_stays_below_shannon(name: str) -> None:
    """Monotone in SNR, and never above the capacity without a gap."""
    snr_db = np.linspace(-30, 60, 901)
    found = radio.spectral_efficiency(snr_db, cell(efficiency=name))
    assert np.all(np.diff(found) >= 0)
    assert np.all(found <= radio.spectral_efficiency(snr_db, cell()) + 1e-12)


def test_inverse_of_shannon() -> None:
    """Round trip in both directions, with a gap, from tiny to large efficiencies."""
    spec = cell(snr_gap_db=2.5)
    wanted = np.array([1e-6, 0.01, 1.0, 3.2, 12.0])
    snr_db = radio.snr_db_of_efficiency(wanted, spec)
    assert radio.spectral_efficiency(snr_db, spec) == pytest.approx(wanted, rel=1e-9)
    assert radio.snr_db_of_efficiency(1.0, spec) == pytest.approx(2.5, abs=1e-12)
    assert radio.snr_db_of_efficiency(0.0, spec) == -np.inf


@pytest.mark.parametrize("table", ["cqi-table-1", "cqi-table-2"])
def test_inverse_of_a_cqi_table(table: str) -> None:
    """Exact at entries, the entry below in between, the ends' thresholds outside."""
    spec = cell(efficiency=table)
    entries = {
        "cqi-table-1": radio.CQI_TABLE_1_EFFICIENCY,
        "cqi-table-2": radio.CQI_TABLE_2_EFFICIENCY,
    }[table]
    snr_db = radio.snr_db_of_efficiency(entries, spec)
    assert np.array_equal(radio.spectral_efficiency(snr_db, spec), entries)
    between = (entries[3] + entries[4]) / 2
    middle = radio.snr_db_of_efficiency(between, spec)
    assert snr_db[3] < middle < snr_db[4]
    assert radio.spectral_efficiency(middle, spec) == entries[3]
    outside = radio.snr_db_of_efficiency([0.0, 0.01, 20.0], spec)
    assert list(outside) == [-np.inf, snr_db[0], snr_db[-1]]


def test_links_of_a_seed_are_always_the_same() -> None:
    """Same seed, same links; a near user has the better mean SNR without shadowing."""
    spec = cell(path_loss="log-distance")
    one = links([20.0, 0.0], [0.0, 150.0], spec, rng(4))
    two = links([20.0, 0.0], [0.0, 150.0], spec, rng(4))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])
    assert one[0][0] > one[0][1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_distance_m": 200.0}, "min_distance_m must be less than radius_m"),
        ({"min_distance_m": 5.0}, "min_distance_m must be between 10 and 5000"),
        ({"radius_m": 6e3}, "radius_m must be between 10 and 5000"),
        ({"carrier_hz": 4e8}, "carrier_hz must be between 5e.08 and 1e.11"),
        ({"ue_height_m": 1.0}, "ue_height_m must be between 1.5 and 22.5"),
        ({"bs_height_m": 1.0}, "bs_height_m must be more than 1"),
        ({"reference_loss_db": 40.0}, "does not belong to path_loss = 'umi'"),
        ({"path_loss_exponent": 2.0}, "does not belong to path_loss = 'umi'"),
        (
            {"path_loss": "log-distance", "bs_height_m": 25.0},
            "bs_height_m does not belong to path_loss = 'log-distance'",
        ),
        (
            {"efficiency": "cqi-table-1", "snr_gap_db": 3.0},
            "snr_gap_db does not belong to efficiency = 'cqi-table-1'",
        ),
        ({"fading": "rice"}, "'none' or 'rayleigh'"),
        ({"tx_power_dbm": math.inf}, "finite"),
        ({"bandwidth_hz": 0.0}, "greater than"),
        ({"bandwith_hz": 1e6}, "Extra inputs"),
    ],
)
def test_refuses_cells_that_mean_nothing(changes: dict[str, Any], message: str) -> None:
    """Out of a model's range, or a key that would silently do nothing."""
    with pytest.raises(ValidationError, match=message):
        cell(**changes)


def test_a_cell_survives_being_written_out() -> None:
    """Every key given with its default value is accepted again."""
    for spec in (cell(), cell(path_loss="log-distance", efficiency="cqi-table-2")):
        assert CellSpec.model_validate(spec.model_dump()) == spec
