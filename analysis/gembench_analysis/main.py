"""gembench-report: results.h5 to a report."""

import argparse
import os
import sys
import tempfile
from typing import List, Optional, Sequence

from . import export, figure_files, markdown, page, perfetto, runs, sensitivity
from .loading import FileError, load
from .reduction import reduce
from .next_steps import placement_file
from .summary import summarise
from .sweep import Run


class Refused(Exception):
    """An error in one sentence; `code` is the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def _options(arguments: Optional[Sequence[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="gembench-report", allow_abbrev=False,
        description="Writes a report of one or several results.h5 (or .partial) of gembench run.",
        epilog="exit codes: 0 ok, 2 usage or a file that cannot be read, 4 output")
    parser.add_argument("files", nargs="+", metavar="FILE",
                        help="results.h5, or its .partial; or one .json of gembench sensitivity, "
                             "whose chart is written as FILE.svg")
    parser.add_argument("-o", "--output", metavar="FILE",
                        help="report to write (default: the first FILE with .html, or standard "
                             "output with --format md)")
    parser.add_argument("--format", choices=("html", "md"), default="html",
                        help="one self-contained HTML file (default), or Markdown")
    parser.add_argument("--figures", metavar="DIR",
                        help="also every figure as an SVG file in DIR")
    parser.add_argument("--placements", metavar="NAMES",
                        help="with --figures: only these placements (separated by commas) and the "
                             "reference")
    parser.add_argument("--trace", metavar="FILE",
                        help="also the steps of the first FILE as a trace for ui.perfetto.dev")
    parser.add_argument("--export", metavar="NAME",
                        help="also this placement of the first FILE as FILE-NAME.json, which "
                             "gembench convert reads")
    parser.add_argument("-q", "--quiet", action="store_true", help="do not say what was written")
    options = parser.parse_args(arguments)
    if options.placements is not None and not options.figures:
        parser.error("--placements chooses what --figures shows; add --figures DIR")
    if _is_sensitivity(options) and (options.figures or options.trace or options.export
                                     or options.format != "html"):
        parser.error("of gembench sensitivity there is only a chart; give just FILE.json and -o")
    return options


def _is_sensitivity(options: argparse.Namespace) -> bool:
    return len(options.files) == 1 and str(options.files[0]).endswith(".json")


def write(path: str, text: str, option: str = "-o") -> None:
    """Writes the file completely or not at all. `option` is the option that chooses another
    path."""
    try:
        handle, name = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".gembench-report")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError as error:
        raise Refused(f"{path}: cannot be written ({error.strerror}); choose another path with "
                      f"{option}",
                      4) from None


def _figures(loaded: List[Run], folder: str, placements: List[str]) -> str:
    """Writes the figures; returns what was written."""
    drawn = figure_files.drawn(loaded, placements)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise Refused(f"{folder}: cannot be created ({error.strerror}); choose another folder "
                      "with --figures",
                      4) from None
    for name, text in drawn.items():
        write(os.path.join(folder, name), text, "--figures")
    return f"{len(drawn)} figures in {folder}"


def _report(options: argparse.Namespace) -> List[str]:
    """Carries out the options; returns what was written."""
    output, written = options.output, []
    if _is_sensitivity(options):
        output = output or os.path.splitext(options.files[0])[0] + ".svg"
        write(output, sensitivity.chart(options.files[0]))
        return [output]
    if output is None and options.format == "html":
        output = os.path.splitext(options.files[0].removesuffix(".partial"))[0] + ".html"
    loaded = []
    for name in options.files:
        run = load(name)
        try:
            loaded.append(Run(run, reduce(run), summarise(run)))
        except (OSError, RuntimeError) as error:  # HDF5 cannot read an array
            raise FileError(f"{name}: is damaged ({error}); run it again") from None
    known = list(dict.fromkeys(row.placement for one in loaded for row in one.rows))
    chosen = [] if options.placements is None else options.placements.split(",")
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise Refused(f"--placements: there is no '{unknown[0]}'; choose from {', '.join(known)}", 2)
    first = [row.placement for row in loaded[0].rows]
    if options.export is not None and options.export not in first:
        raise Refused(f"--export: there is no '{options.export}' in {options.files[0]}; choose from "
                      f"{', '.join(first)}", 2)
    if options.format == "md":
        text = markdown.report(loaded)
    else:
        text = page.page(runs.title(loaded), runs.content(loaded))
    if output is None:
        _print(text)
    else:
        write(output, text)
        written.append(output)
    if options.figures:
        written.append(_figures(loaded, options.figures, chosen))
    if options.trace:
        one = loaded[0]
        write(options.trace, perfetto.trace(one.run, one.reduced), "--trace")
        written.append(options.trace)
    if options.export is not None:
        plan = placement_file(options.files[0], options.export)
        write(plan, export.placement_json(loaded[0].run, options.export), "--export")
        written.append(plan)
    return written


def _print(text: str) -> None:
    """Writes to standard output. A reader that stops early is no error."""
    if sys.stdout is None:
        raise Refused("standard output is closed; name a file with -o", 4)
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # What is left is not tried again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise Refused(f"standard output cannot be written ({error.strerror}); name a file with "
                          "-o", 4) from None


def _tell(sentence: str) -> None:
    """Writes to standard error. The message is lost if that is closed or full."""
    if sys.stderr is None:
        return
    try:
        print(f"gembench-report: {sentence}", file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The command; returns its exit code."""
    options = _options(arguments)
    try:
        written = _report(options)
    except FileError as error:
        _tell(str(error))
        return 2
    except Refused as error:
        _tell(str(error))
        return error.code
    if not options.quiet and written:
        _tell("wrote " + ", ".join(written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
