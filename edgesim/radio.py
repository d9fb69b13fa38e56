"""The radio cell: placement of users, path loss, and spectral efficiency.

One uplink cell with the base station at the origin. Functions are pure and vectorised;
those that draw take a numpy generator. Standards cited: 3GPP TR 38.901 (channel model,
V17.0.0) and 3GPP TS 38.214 (CQI tables).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from solvers.problem import NonNegative, Positive, Value

Floats: TypeAlias = NDArray[np.float64]
Decibels = Annotated[float, Field(ge=-1000, le=1000, allow_inf_nan=False)]

SPEED_OF_LIGHT_M_PER_S = 3.0e8  # as TR 38.901 Table 7.4.1-1 note 1 rounds it
UMI_MIN_DISTANCE_M = 10.0  # below it TR 38.901 gives no UMi path loss
UMI_SHADOWING_LOS_DB = 4.0
UMI_SHADOWING_NLOS_DB = 7.82


class CellSpec(Value):
    """The ``[cell]`` section of a scenario: one cell, its uplink and its channel.

    Users transmit at a fixed power spectral density, ``tx_power_dbm`` spread over all
    of ``bandwidth_hz``, so the SNR does not depend on the band a user holds and the
    rate is linear in it. (A user with a narrow band could transmit at a higher density:
    rates are conservative.)

    Keys that belong to another ``path_loss`` or ``efficiency`` are refused unless they
    have their default value. ``reference_loss_db`` is the loss at 1 m, free space at
    ``carrier_hz`` if not given. ``shadowing_db`` replaces the standard deviation: of
    ``umi``, 4 dB with line of sight and 7.82 dB without; of ``log-distance``, 0 dB.
    """

    bandwidth_hz: Positive
    radius_m: Positive
    min_distance_m: Positive = 10.0
    carrier_hz: Positive = 3.5e9
    path_loss: Literal["log-distance", "umi"] = "umi"
    reference_loss_db: Decibels | None = None
    path_loss_exponent: Positive = 3.0
    bs_height_m: Positive = 10.0
    ue_height_m: Positive = 1.5
    shadowing_db: NonNegative | None = None
    tx_power_dbm: Decibels = 23.0
    noise_dbm_per_hz: Decibels = -174.0
    noise_figure_db: Decibels = 5.0
    fading: Literal["none", "rayleigh"] = "rayleigh"
    efficiency: Literal["shannon", "cqi-table-1", "cqi-table-2"] = "shannon"
    snr_gap_db: NonNegative = 0.0
    max_spectral_efficiency: Positive | None = None

    @model_validator(mode="after")
    def _check(self) -> CellSpec:
        if self.min_distance_m >= self.radius_m:
            raise ValueError(
                f"min_distance_m must be less than radius_m ({self.radius_m:g}), "
                f"found {self.min_distance_m:g}"
            )
        if self.path_loss == "umi":
            self._refuse("path_loss", "reference_loss_db", "path_loss_exponent")
            self._check_umi()
        else:
            self._refuse("path_loss", "bs_height_m", "ue_height_m")
        if self.efficiency != "shannon":
            self._refuse("efficiency", "snr_gap_db")
        return self

    def _refuse(self, choice: str, *keys: str) -> None:
        for key in keys:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(
                    f"{key} does not belong to {choice} = {getattr(self, choice)!r}"
                )

    def _check_umi(self) -> None:
        """Check the ranges of TR 38.901 Table 7.4.1-1 and section 7.1."""
        for key, low, high in (
            ("min_distance_m", UMI_MIN_DISTANCE_M, 5e3),
            ("radius_m", UMI_MIN_DISTANCE_M, 5e3),
            ("carrier_hz", 0.5e9, 100e9),
            ("ue_height_m", 1.5, 22.5),
        ):
            value = getattr(self, key)
            if not low <= value <= high:
                raise ValueError(
                    f"{key} must be between {low:g} and {high:g} for "
                    f"path_loss = 'umi', found {value:g}"
                )
        if self.bs_height_m <= 1:
            raise ValueError(
                f"bs_height_m must be more than 1 for path_loss = 'umi' (the effective "
                f"environment height), found {self.bs_height_m:g}"
            )


def place_users(
    count: int, cell: CellSpec, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Place users uniformly in the ring from ``min_distance_m`` to ``radius_m``.

    Returns
    -------
    x_m, y_m
        Coordinates in metres from the base station, each of length ``count``.
    """
    inner, outer = cell.min_distance_m**2, cell.radius_m**2
    # Equal areas are equally likely, so the squared radius is uniform.
    radius_m = np.sqrt(inner + (outer - inner) * rng.random(count))
    angle = 2 * np.pi * rng.random(count)
    return radius_m * np.cos(angle), radius_m * np.sin(angle)


def free_space_loss_db(distance_m: ArrayLike, carrier_hz: float) -> Floats:
    """Loss between isotropic antennas in free space: ``20 log10(4π d f / c)``."""
    distance = np.asarray(distance_m, dtype=np.float64)
    return 20 * np.log10(4 * np.pi * distance * carrier_hz / SPEED_OF_LIGHT_M_PER_S)


def log_distance_loss_db(
    distance_m: ArrayLike, reference_loss_db: float, exponent: float
) -> Floats:
    """Log-distance path loss: ``reference + 10 · exponent · log10(d / 1 m)``.

    Parameters
    ----------
    distance_m
        Distances; below 1 m the loss is that at 1 m.
    reference_loss_db
        Loss at 1 m.
    exponent
        2 in free space, 3 to 4 in streets.
    """
    distance = np.maximum(np.asarray(distance_m, dtype=np.float64), 1.0)
    return reference_loss_db + 10 * exponent * np.log10(distance)


def umi_los_probability(distance_m: ArrayLike) -> Floats:
    """Probability of line of sight in a street canyon, TR 38.901 Table 7.4.2-1.

    1 up to 18 m of horizontal distance d, then
    ``18/d + exp(−d/36) · (1 − 18/d)``.
    """
    distance = np.maximum(np.asarray(distance_m, dtype=np.float64), 18.0)
    near = 18.0 / distance
    return near + np.exp(-distance / 36.0) * (1.0 - near)


def umi_loss_db(
    distance_m: ArrayLike,
    line_of_sight: ArrayLike,
    carrier_hz: float,
    bs_height_m: float = 10.0,
    ue_height_m: float = 1.5,
) -> Floats:
    """UMi street canyon path loss without shadowing, TR 38.901 Table 7.4.1-1.

    Two slopes with line of sight, broken at ``4 (h_BS − 1)(h_UT − 1) f / c``; without
    it the steeper of that and of the NLOS formula.

    Parameters
    ----------
    distance_m
        Horizontal distances; below 10 m the loss is that at 10 m, where the model's
        range begins.
    line_of_sight
        Booleans of the same shape.
    carrier_hz, bs_height_m, ue_height_m
        Carrier frequency; antenna heights of base station and user.
    """
    flat = np.maximum(np.asarray(distance_m, dtype=np.float64), UMI_MIN_DISTANCE_M)
    rise = bs_height_m - ue_height_m
    log_slant = np.log10(np.hypot(flat, rise))
    log_ghz = math.log10(carrier_hz / 1e9)
    breakpoint_m = (
        4 * (bs_height_m - 1) * (ue_height_m - 1) * carrier_hz / SPEED_OF_LIGHT_M_PER_S
    )
    before = 32.4 + 21 * log_slant + 20 * log_ghz
    beyond = (
        32.4
        + 40 * log_slant
        + 20 * log_ghz
        - 9.5 * math.log10(breakpoint_m**2 + rise**2)
    )
    clear = np.where(flat <= breakpoint_m, before, beyond)
    blocked = 22.4 + 35.3 * log_slant + 21.3 * log_ghz - 0.3 * (ue_height_m - 1.5)
    return np.where(line_of_sight, clear, np.maximum(clear, blocked))


def path_loss_db(
    distance_m: ArrayLike, cell: CellSpec, rng: np.random.Generator
) -> Floats:
    """Draw the large-scale loss of each link: path loss and lognormal shadowing.

    Parameters
    ----------
    distance_m
        Horizontal distances of any shape; links are independent.
    cell
        The path loss model and its parameters.
    rng
        Draws line of sight and shadowing. The number of draws is the same for every
        model, so that two cells with the same seed differ only in their channel.
    """
    distance = np.asarray(distance_m, dtype=np.float64)
    chance = rng.random(distance.shape)
    shadow = rng.standard_normal(distance.shape)
    sigma_db: ArrayLike
    if cell.path_loss == "umi":
        clear = chance < umi_los_probability(distance)
        loss = umi_loss_db(
            distance, clear, cell.carrier_hz, cell.bs_height_m, cell.ue_height_m
        )
        sigma_db = np.where(clear, UMI_SHADOWING_LOS_DB, UMI_SHADOWING_NLOS_DB)
    else:
        reference = cell.reference_loss_db
        if reference is None:
            reference = float(free_space_loss_db(1.0, cell.carrier_hz))
        loss = log_distance_loss_db(distance, reference, cell.path_loss_exponent)
        sigma_db = 0.0
    if cell.shadowing_db is not None:
        sigma_db = cell.shadowing_db
    return loss + np.asarray(sigma_db) * shadow


def mean_snr_db(loss_db: ArrayLike, cell: CellSpec) -> Floats:
    """SNR at the base station, averaged over fading.

    ``P − 10 log10(W) − loss − (N0 + NF)``: densities of received power and of noise,
    both in dBm/Hz, so the band held does not matter.
    """
    noise_dbm_per_hz = cell.noise_dbm_per_hz + cell.noise_figure_db
    density_dbm_per_hz = cell.tx_power_dbm - 10 * math.log10(cell.bandwidth_hz)
    loss = np.asarray(loss_db, dtype=np.float64)
    return density_dbm_per_hz - loss - noise_dbm_per_hz


def fading_gain(count: int, rng: np.random.Generator) -> Floats:
    """Draw Rayleigh block fading: power gains, exponential with mean 1."""
    return rng.standard_exponential(count)


# TS 38.214 Table 5.2.2.1-2 (CQI table 1, up to 64QAM): spectral efficiency in bit/s/Hz.
# The SNR from which each CQI is used (10 % block errors) is customary in link
# abstraction studies; the standard leaves it to the receiver.
CQI_TABLE_1_EFFICIENCY = (
    *(0.1523, 0.2344, 0.3770, 0.6016, 0.8770, 1.1758, 1.4766, 1.9141),
    *(2.4063, 2.7305, 3.3223, 3.9023, 4.5234, 5.1152, 5.5547),
)
CQI_TABLE_1_SNR_DB = (
    *(-6.7, -4.7, -2.3, 0.2, 2.4, 4.3, 5.9, 8.1),
    *(10.3, 11.7, 14.1, 16.3, 18.7, 21.0, 22.7),
)
# TS 38.214 Table 5.2.2.1-3 (CQI table 2, up to 256QAM).
CQI_TABLE_2_EFFICIENCY = (
    *(0.1523, 0.3770, 0.8770, 1.4766, 1.9141, 2.4063, 2.7305, 3.3223),
    *(3.9023, 4.5234, 5.1152, 5.5547, 6.2266, 6.9141, 7.4063),
)


def _shannon_snr_db(efficiency: float) -> float:
    return 10 * math.log10(2**efficiency - 1)


def _table_2_snr_db() -> tuple[float, ...]:
    """Extend the customary thresholds to 256QAM, which has none.

    An efficiency that is also in table 1 keeps its threshold (CQI 1 to 11 are the same
    modulation and code). Above, the gap to Shannon stays that of table 1's last entry.
    """
    known = dict(zip(CQI_TABLE_1_EFFICIENCY, CQI_TABLE_1_SNR_DB, strict=True))
    gap_db = CQI_TABLE_1_SNR_DB[-1] - _shannon_snr_db(CQI_TABLE_1_EFFICIENCY[-1])
    return tuple(
        known[efficiency]
        if efficiency in known
        else _shannon_snr_db(efficiency) + gap_db
        for efficiency in CQI_TABLE_2_EFFICIENCY
    )


CQI_TABLE_2_SNR_DB = _table_2_snr_db()

_CQI = {
    "cqi-table-1": (np.array(CQI_TABLE_1_SNR_DB), np.array(CQI_TABLE_1_EFFICIENCY)),
    "cqi-table-2": (np.array(CQI_TABLE_2_SNR_DB), np.array(CQI_TABLE_2_EFFICIENCY)),
}


def spectral_efficiency(snr_db: ArrayLike, cell: CellSpec) -> Floats:
    """Spectral efficiency in bit/s/Hz at an SNR.

    Shannon with a gap, ``log2(1 + SNR / gap)``, or the efficiency of the highest CQI
    whose threshold the SNR reaches, 0 (no link) below the lowest. Capped at
    ``max_spectral_efficiency`` if given. Control overhead is not deducted.
    """
    snr = np.asarray(snr_db, dtype=np.float64)
    if cell.efficiency == "shannon":
        efficiency = np.log1p(10 ** ((snr - cell.snr_gap_db) / 10)) / math.log(2)
    else:
        thresholds, efficiencies = _CQI[cell.efficiency]
        cqi = np.searchsorted(thresholds, snr, side="right")
        efficiency = np.concatenate(([0.0], efficiencies))[cqi]
    if cell.max_spectral_efficiency is not None:
        efficiency = np.minimum(efficiency, cell.max_spectral_efficiency)
    return np.asarray(efficiency, dtype=np.float64)


def snr_db_of_efficiency(efficiency: ArrayLike, cell: CellSpec) -> Floats:
    """Least SNR that supports an efficiency: the inverse, to fade a given link.

    Parameters
    ----------
    efficiency
        Spectral efficiencies in bit/s/Hz, 0 or more; 0 (no link) gives −inf.
    cell
        Under Shannon the inverse is exact, ignoring ``max_spectral_efficiency``. Under
        a CQI table it is exact at the table's entries; thresholds are interpolated
        between entries, and constant beyond the ends.
    """
    # Beyond 1000 bit/s/Hz, which no link has, 2 to that power overflows a double.
    target = np.minimum(np.asarray(efficiency, dtype=np.float64), 1000.0)
    with np.errstate(divide="ignore"):  # log10(0) = −inf is the answer for no link
        if cell.efficiency == "shannon":
            ratio_db: Floats = 10 * np.log10(np.expm1(target * math.log(2)))
            return cell.snr_gap_db + ratio_db
    thresholds, efficiencies = _CQI[cell.efficiency]
    threshold_db = np.interp(target, efficiencies, thresholds)
    return np.where(target > 0, threshold_db, -np.inf)


def faded_efficiency(
    snr_db: ArrayLike, cell: CellSpec, rng: np.random.Generator
) -> Floats:
    """Draw the efficiency of each link for one fading block.

    ``snr_db`` is the SNR averaged over fading (of any shape); with ``fading = "none"``
    it is used as is, but the generator draws as many numbers.
    """
    snr = np.asarray(snr_db, dtype=np.float64)
    gain = fading_gain(snr.size, rng).reshape(snr.shape)
    if cell.fading == "rayleigh":
        with np.errstate(divide="ignore"):  # a gain of 0 is −inf dB: no link
            snr = snr + 10 * np.log10(gain)
    return spectral_efficiency(snr, cell)
