"""Write pictures in every format asked for, after the data that they show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from edgesim.errors import InputError, Parameter
from edgesim.names import PICTURE_FORMATS, check_formats
from edgesim.plotting.style import Drawing, save
from edgesim.plugins import told

Pictures = Mapping[str, Callable[[], Drawing]]
"""What draws each picture, by its file's name without suffix."""


class PictureError(InputError):
    """A picture cannot be drawn or written; its data are written all the same.

    Attributes
    ----------
    report
        What was written of a run, for who tells of it.
    """

    report: Any = None


def picture_files(
    names: Iterable[str], formats: Iterable[str] = PICTURE_FORMATS
) -> tuple[str, ...]:
    """List the files of pictures: each name with the suffix of each format."""
    return tuple(f"{name}.{suffix}" for name in names for suffix in formats)


def known_formats(formats: Iterable[str]) -> tuple[str, ...]:
    """Return formats of pictures, checked before anything is computed.

    Raises
    ------
    InputError
        For an unknown one, the same one twice, or none.
    """
    try:
        return check_formats((formats,) if isinstance(formats, str) else tuple(formats))
    except ValueError as error:
        raise InputError(Parameter("formats"), str(error)) from None


_DRAWING = Lock()
"""Threads of one process share matplotlib's style."""


def write_pictures(
    folder: Path, pictures: Pictures, formats: Iterable[str], shown: Path | None = None
) -> PictureError | None:
    """Draw pictures and write each in every format; one that fails stops no other.

    Parameters
    ----------
    folder
        Where they go.
    pictures
        What draws them.
    formats
        Formats, which are known ones.
    shown
        The folder's name for messages, if it is another one in the end.

    Returns
    -------
    PictureError or None
        What kept the first picture that failed from being drawn, for the caller to
        raise once nothing is lost by it.
    """
    failed: PictureError | None = None
    formats = tuple(formats)
    for name, draw in pictures.items():
        files = picture_files([name], formats)
        try:
            with _DRAWING:
                drawing = draw()
                for file in files:
                    save(drawing, folder / file)
        except Exception as error:
            # Whatever matplotlib makes of it, or the disk: the data are worth more than
            # a picture.
            what = f"cannot be drawn: {told(error)}"
            if isinstance(error, InputError):
                what = error.what
            if failed is None:
                failed = PictureError((shown or folder) / files[0], what)
                failed.__cause__ = error
    return failed
