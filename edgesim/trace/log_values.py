"""Numbers and times as request logs write them.

Times are whole nanoseconds: a 19-digit epoch keeps every digit.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal, DecimalException

from edgesim.errors import short
from edgesim.trace.log_file import UnusableError
from edgesim.trace.rows import NUMBER

DECIMAL_SIGNS = (".", ",")
DATE_FORMS = ("iso", "apache")
"""``2023-01-05T10:00:00Z`` and its like, year first; ``05/Jan/2023:10:00:00 +0000``."""

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_ISO = re.compile(
    r"(\d{4}(?:-\d\d?-\d\d?|/\d\d?/\d\d?|\d{4}))"  # the day
    r"[Tt ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?"  # hour, minute, second, fraction
    r"\s?([Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_APACHE = re.compile(
    r"\[?(\d\d/[A-Z][a-z]{2}/\d{4}):(\d\d):(\d\d):(\d\d)(?:\.(\d+))?"
    r"(?: ([+-]\d{4}))?\]?",
    re.ASCII,
)
_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_GROUPS = {
    sign: re.compile(
        rf"[+-]?\d{{1,3}}([{other} '\u00a0\u202f])\d{{3}}(?:\1\d{{3}})*"
        rf"(?:{re.escape(sign)}\d*)?",
        re.ASCII,
    )
    for sign, other in ((".", ","), (",", "."))
}


class MixedTimesError(Exception):
    """The times of a log cannot be compared; the message says why."""


def plain_number(column: str, text: str, decimal: str | None = None) -> str:
    """Write a number of a log with a decimal point and without thousands.

    Parameters
    ----------
    column, text
        The column's name, for messages, and what the row has there.
    decimal
        The log's decimal sign, ``.`` or ``,``. The other one may then separate
        thousands, as a blank or an apostrophe may. If None, a number has a point or
        none, and no thousands: ``1,234`` could be either.

    Raises
    ------
    UnusableError
        If the text is not such a number.
    """
    if decimal != "," and NUMBER.fullmatch(text):
        return text
    if not text:
        raise UnusableError(f"{column} is empty")
    if decimal is None:
        if any(groups.fullmatch(text) for groups in _GROUPS.values()) or (
            text.count(",") == 1 and NUMBER.fullmatch(text.replace(",", "."))
        ):
            raise UnusableError(
                f"{column} has decimal commas or thousands; name the decimal sign", text
            )
    else:
        if groups := _GROUPS[decimal].fullmatch(text):
            text = text.replace(groups[1], "")
        if decimal == ",":
            pointed = "x" if "." in text else text.replace(",", ".")
        else:
            pointed = text
        if NUMBER.fullmatch(pointed):
            return pointed
    raise UnusableError(f"{column} is not a number", text)


def scaled(column: str, text: str, scale: int, decimal: str | None = None) -> int:
    """Parse a decimal number times ``scale``, rounded to an integer, without floats."""
    if len(text) < 20 and text.isdigit() and text.isascii():
        whole = int(text) * scale
        if whole < 2**62:
            return whole
    try:
        value = Decimal(plain_number(column, text, decimal)) * scale
    except DecimalException:  # the exponent has too many digits
        value = Decimal("inf")
    if abs(value) >= 2**62:
        raise UnusableError(f"{column} is out of range", text)
    return int(value.to_integral_value())


class Clock:
    """Parses the dates and times of one column, all with or all without UTC offset.

    Parameters
    ----------
    column
        The column's name, for messages.
    form
        One of ``DATE_FORMS``.
    """

    def __init__(self, column: str, form: str = "iso") -> None:
        self.column = column
        self.has_offset: bool | None = None
        self._is_apache = form == "apache"
        self._pattern = _APACHE if self._is_apache else _ISO
        self._days: dict[str, int] = {}

    def read_ns(self, text: str) -> int:
        """Convert a time to nanoseconds since 1970; further digits are truncated.

        Raises
        ------
        UnusableError
            If it is not a time of this form, or no calendar has it.
        MixedTimesError
            If it has an offset and the times before had none, or the other way round.
        """
        try:
            seconds, fraction, offset = self._split(text)
            if offset:
                seconds -= _offset_s(offset)
        except ValueError:
            form = "as Apache writes them" if self._is_apache else "as in ISO 8601"
            reason = f"not a date and time {form}" if text else "empty"
            raise UnusableError(f"{self.column} is {reason}", text) from None
        if self.has_offset is None:
            self.has_offset = bool(offset)
        elif self.has_offset == (offset is None):
            rule = "have a UTC offset" if self.has_offset else "have no UTC offset"
            raise MixedTimesError(
                f"{self.column} must {rule} as the times before, found {short(text)}"
            )
        time_ns = seconds * 10**9
        if fraction:
            time_ns += int(fraction[:9].ljust(9, "0"))
        if not -(2**62) < time_ns < 2**62:
            raise UnusableError(f"{self.column} is out of range", text)
        return time_ns

    def _split(self, text: str) -> tuple[int, str | None, str | None]:
        """Return seconds since 1970 by the clock of the text, fraction and offset."""
        match = self._pattern.fullmatch(text)
        if match is None:
            raise ValueError(text)
        day, hour, minute, second, fraction, offset = match.groups()
        seconds = self._days.get(day)
        if seconds is None:
            seconds = self._day_s(day)
        h, m, s = int(hour), int(minute), int(second or 0)
        if h > 23 or m > 59 or s > 59:
            raise ValueError(text)
        return seconds + h * 3600 + m * 60 + s, fraction, offset

    def _day_s(self, text: str) -> int:
        """Return when a day begins; a log has few days, and many times of each."""
        if self._is_apache:
            day, name, year = text.split("/")
            month = str(_MONTHS.index(name) + 1)
        elif text.isdigit():
            year, month, day = text[:4], text[4:6], text[6:]
        else:
            year, month, day = text.split(text[4])
        since = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
        if len(self._days) > 10_000:  # whatever the log holds
            self._days.clear()
        self._days[text] = since * 86_400
        return since * 86_400


def _offset_s(offset: str) -> int:
    """Return the seconds by which a clock with this offset is ahead of UTC."""
    if offset[0] not in "+-":
        return 0
    hours, minutes = int(offset[1:3]), int(offset[-2:]) if len(offset) > 3 else 0
    if hours > 23 or minutes > 59:
        raise ValueError(offset)
    return (hours * 3600 + minutes * 60) * (-1 if offset[0] == "-" else 1)
