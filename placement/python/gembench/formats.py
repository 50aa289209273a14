"""Placements in the formats of serving engines."""

from __future__ import annotations

import os
from typing import Union


def convert(source: Union[str, os.PathLike[str]], to: str, *, ranks: int = 0, layers: int = 0,
            experts: int = 0) -> str:
    """The text of a placement file in another format: `gembench list` has the names. `ranks`, `layers`
    and `experts` for files that do not say. ValueError for what the engine could not load;
    ImportError where the package was built without libarchive, libzip and libyaml."""
    try:
        from . import _formats
    except ImportError as error:
        raise ImportError("this gembench was built without the formats of engines: install libarchive, libzip, "
                          "libyaml and zlib with their headers, then gembench again") from error
    return _formats.convert(os.fspath(source), to, ranks, layers, experts)
