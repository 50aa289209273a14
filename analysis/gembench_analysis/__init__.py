"""Offline analysis of gembench's results.h5; analysis/README.md says what lives where."""

from . import figures
from .loading import FileError, load, to_pandas
from .reduction import reduce
from .summary import Difference, Summary, summarise
from .verdict import Verdict, verdict

__all__ = ["Difference", "FileError", "Summary", "Verdict", "figures", "load",
           "reduce", "summarise", "to_pandas", "verdict"]
