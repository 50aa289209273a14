"""Offline analysis of gembench's results.h5; analysis/README.md says what lives where."""

from . import figures
from .loading import FileError, load, to_pandas
from .reduction import reduce
from .statistics import Difference, paired_difference
from .summary import Summary, summarise
from .verdict import Verdict, verdict

__all__ = ["Difference", "FileError", "Summary", "Verdict", "figures", "load", "paired_difference",
           "reduce", "summarise", "to_pandas", "verdict"]
