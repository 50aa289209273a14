#!/usr/bin/env python3
"""Runs the benches and prints one table: what we take, what a reference takes, their ratio with its
spread, and the bar it is held against. Exit 1 when a bar is missed, unless --no-bars."""

import argparse
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
BENCHES = ["experts", "experts-rows", "exchange", "layer", "writing", "memory"]
# Of ratios reference / ours the median has to reach the bar; of shares and growth it may not exceed
# it. Of the tax it is the upper end of the 95 % interval that may not.
AT_LEAST = {"experts": 0.90, "exchange": 0.95, "dispatch": 0.90}
AT_MOST = {"tax": 2.0, "writing": 1.0}  # percent
# Of experts-rows: time against the cheapest of at least as many rows; rate from 64 rows up against the
# shape's best; worst and mean ratio to plain oneDNN at the same count, with AMX tiles and without.
ROWS_TIME, ROWS_RATE, ROWS_RATE_FROM = 1.10, 0.90, 64
ROWS_RATIO = {True: (1.0, 1.3), False: (0.97, 0.97)}
PEAK_STEPS = [100, 1000, 10000]
PEAK_LAYERS, PEAK_EXPERTS, PEAK_PLACEMENTS = 2, 32, 4
# The planned and the measured loads, the slices and copies made of them on their way into the file,
# and the predictions made from them; and memory that the libraries keep, whatever the steps.
COPIES, LIBRARIES_MIB = 3, 4  # at 10,000 steps less than readings kept would take


class Failed(Exception):
    pass


def mpirun(ranks):
    """As jobs/local.sh does."""
    words = subprocess.check_output([TOP / "jobs/mpirun_words.sh"], text=True).split()
    return ["mpirun", *words, "-n", str(ranks)]


def run(command, ranks=0, timeout=3600):
    """Standard output; ranks = 0: without mpirun."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if ranks > cores():
        environment["OMPI_MCA_mpi_yield_when_idle"] = "1"
    command = (mpirun(ranks) if ranks else []) + [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                          env=environment, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def cores():
    return len(os.sched_getaffinity(0))


def lines_of(output):
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def median_interval(values):
    """Median, quartiles and the 95 % interval of the median, by resampling pairs."""
    import numpy  # here, so that as_rank() stays smaller than what it measures
    values = numpy.asarray(values)
    draws = numpy.random.default_rng(7).integers(len(values), size=(4000, len(values)))
    low, high = numpy.percentile(numpy.median(values[draws], axis=1), [2.5, 97.5])
    quartiles = numpy.percentile(values, [25, 75])
    return float(numpy.median(values)), quartiles, (float(low), float(high))


class Table:
    """Prints rows as they come, so that a long run can be watched."""

    FORM = "{:<13} {:<47} {:>5} {:>7} {:>11} {:>11} {:>8} {:>17} {:>17} {:>8} {}"

    def __init__(self):
        self.missed = 0
        self.rows = 0
        print(self.FORM.format("# bench", "shape", "ranks", "clock", "ours", "reference", "ratio",
                               "quartiles", "95 % interval", "bar", ""))

    def add(self, bench, shape, ranks, ours, reference, cells, bar="", good=None, clock="wall"):
        """`cells`: ratio, quartiles, interval as text; `good`: None where there is no bar."""
        self.rows += 1
        self.missed += good is False
        verdict = {None: "", True: "ok", False: "MISSED"}[good]
        print(self.FORM.format(bench, shape, ranks, clock, ours, reference, *cells, bar, verdict),
              flush=True)

    def every_row_count(self, record):
        """One expert at every number of rows: a line a shape, with the worst counts."""
        rows, ours, reference = record["rows"], record["ours"], record["reference"]
        if not all(0 < seconds < 1e6 for seconds in ours + reference):
            raise Failed(f"experts-rows, {record['shape']}: times that cannot be")
        cheapest = [min(ours[i:]) for i in range(len(ours))]
        time = max((took / least, count) for took, least, count in zip(ours, cheapest, rows))
        rates = [count / took for took, count in zip(ours, rows)]
        rate = min(((mine / max(rates), count) for mine, count in zip(rates, rows)
                    if count >= ROWS_RATE_FROM), default=(1, rows[-1]))
        ratios = [theirs / mine for mine, theirs in zip(ours, reference)]
        worst, mean = min(zip(ratios, rows)), sum(ratios) / len(ratios)
        least, least_mean = ROWS_RATIO[record["tiles"]]
        good = (time[0] <= ROWS_TIME and rate[0] >= ROWS_RATE and worst[0] >= least
                and mean >= least_mean)
        self.add("experts-rows", f"{record['shape']}, {len(rows)} of 1 .. {rows[-1]} rows", 1,
                 duration(ours[-1]), duration(reference[-1]),
                 [f"{mean:.3f}", f"worst {worst[0]:.3f}", f"at {worst[1]} rows"],
                 f">= {least_mean:g}", good, "cpu-time")
        print(f"#   worst: {time[0]:.3f} of the cheapest of at least as many rows (<= {ROWS_TIME:g}) at "
              f"{time[1]}; {rate[0]:.3f} of the best rate (>= {ROWS_RATE:g}) at {rate[1]}; "
              f"{worst[0]:.3f} of plain oneDNN (>= {least:g}) at {worst[1]}; below that bar: "
              f"{sum(ratio < least for ratio in ratios)} of {len(rows)}")

    def pairs(self, record):
        """A comparison of two sides, timed in turn."""
        bench = record["bench"]
        ours, reference = record["ours"], record["reference"]
        if not all(0 < seconds < 1e6 for seconds in ours + reference):
            raise Failed(f"{bench}, {record['shape']}: times that cannot be")
        percent = bench in ("tax", "start barrier", "stages")
        values = [100 * (a / b - 1) if percent else b / a for a, b in zip(ours, reference)]
        middle, quartiles, interval = median_interval(values)
        form, unit = ("{:+.2f}", " %") if percent else ("{:.3f}", "")
        cells = [form.format(middle) + unit] + [
            f"{form.format(low)} .. {form.format(high)}" for low, high in (quartiles, interval)]
        bar, good = "", None
        if bench in AT_LEAST:
            bar, good = f">= {AT_LEAST[bench]:.2f}", middle >= AT_LEAST[bench]
        elif bench in AT_MOST:
            bar, good = f"<= {AT_MOST[bench]:g} %", interval[1] <= AT_MOST[bench]
        self.add(bench, record["shape"], record["ranks"], duration(median_interval(ours)[0]),
                 duration(median_interval(reference)[0]), cells, bar, good,
                 "wall*" if record["ranks"] > cores() else "wall")


def duration(seconds):
    return f"{seconds * 1e6:.1f} us" if seconds < 0.1 else f"{seconds:.3f} s"


def share(table, shape, ranks, parts, whole, note):
    """`parts` seconds of writing against `whole` seconds of the run around them."""
    middle, quartiles, interval = median_interval([100 * part / whole for part in parts])
    cells = [f"{middle:.3f} %"] + [f"{a:.3f} .. {b:.3f}" for a, b in (quartiles, interval)]
    table.add("writing", shape, ranks, duration(middle * whole / 100), duration(whole), cells,
              f"<= {AT_MOST['writing']:g} %", middle <= AT_MOST["writing"])
    print(f"#   {note}")


def writing(table, build, folder, quick, layer_seconds):
    options = [] if not quick else ["--quick"]
    small, large = lines_of(run([build / "bench_writing", folder / "writing.h5", *options]))
    # The quickstart's own shape, run for one block a placement: seconds of a segment as rank 0 met it.
    import h5py
    shape = ["--scale", "4", "--layers", "8", "--tokens", "1024", "--plan-steps", "32"]
    tiny = ["--scale", "32", "--layers", "8", "--tokens", "64", "--plan-steps", "16"]
    run([build / "gembench", "run", "--model", "gpt-oss-20b", *(tiny if quick else shape),
         "--steps", "8", "--block", "8", "--placements", "linear,round-robin", "--routing",
         "synthetic", "--profile-seconds", "0", "-q", "--output", folder / "run.h5"], ranks=4)
    with h5py.File(folder / "run.h5") as file:
        segment = float(file["timing"].attrs["measure"]) / 2
    share(table, small["shape"], 4, small["writes"], segment,
          "one RunWriter::write against a segment (switch, 2 + 8 steps, check) of the quickstart's "
          "shape run on 4 ranks")
    print(f"#   once a run (describe and finish): {small['once'] * 1e3:.1f} ms and "
          f"{large['once'] * 1e3:.1f} ms")
    if layer_seconds is None:
        print("#   58 layers x 64 ranks are compared with layers that bench_layer timed: add layer")
        return
    block = large["steps"] * large["layers"] * layer_seconds
    middle = median_interval(large["writes"])[0]
    even = 100 * middle / AT_MOST["writing"] / (large["steps"] * large["layers"])
    share(table, large["shape"], 64, large["writes"], block,
          f"derived: {large['steps']} steps x {large['layers']} layers of "
          f"{layer_seconds * 1e6:.0f} us, the shortest that bench_layer timed; the share is 1 % "
          f"where a layer takes {even * 1e6:.0f} us")


def memory(table, build, folder, quick):
    """Peak resident memory of rank 0 by number of steps."""
    peaks = {}
    steps = [16, 64] if quick else PEAK_STEPS
    placements = ",".join(["linear", "round-robin"] * (PEAK_PLACEMENTS // 2))
    for count in steps:
        peak = folder / f"peak{count}"
        run([sys.executable, __file__, "--as-rank", peak, build / "gembench", "run", "--model",
             "gpt-oss-20b", "--scale", 32, "--layers", PEAK_LAYERS, "--tokens", 64, "--steps",
             count, "--block", 8, "--profile-seconds", 0, "--plan-steps", 32, "--placements",
             placements, "--routing", "synthetic", "-q", "--output", folder / f"peak{count}.h5"],
            ranks=2)
        peaks[count] = int(peak.read_text()) * 1024
    fewest = steps[0]
    for count in steps[1:]:
        grown = peaks[count] - peaks[fewest]
        loads = (count - fewest) * PEAK_LAYERS * PEAK_EXPERTS * 4
        allowed = COPIES * loads + LIBRARIES_MIB * 2**20
        results = (count - fewest) * PEAK_PLACEMENTS * PEAK_LAYERS * 2 * 12 * 8
        mib = [f"{value / 2**20:.1f} MiB" for value in (peaks[count], peaks[fewest], allowed)]
        table.add("memory", f"rank 0's peak, {count} steps against {fewest}", 2, mib[0], mib[1],
                  [f"{grown / 2**20:+.1f}", "", ""], f"<= {allowed / 2**20:.1f}", grown <= allowed, "-")
        print(f"#   MiB grown; the loads of the added steps are {loads / 2**20:.2f} MiB (steps x "
              f"layers x experts x 4 bytes), their readings would be {results / 2**20:.2f} MiB")


def as_rank(peak, command):
    """Runs a rank and, on rank 0, notes the largest memory it ever held (VmHWM), KiB."""
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    if os.environ.get("OMPI_COMM_WORLD_RANK") == "0":
        pathlib.Path(peak).write_text(str(usage.ru_maxrss))
    return os.waitstatus_to_exitcode(status)


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def header(options):
    load = os.getloadavg()[0]
    print(f"# {cpu_name()}, {cores()} cores; device cpu, one thread a rank; load {load:.1f}")
    print("# clock wall, pairs in turn; wall*: ranks share cores, the span of a whole batch, idle "
          "ranks yield")
    print("# ratio: reference / ours, median of pairs; tax, start barrier, stages and writing: what is "
          "added, in %")
    if options.quick:
        print("# --quick: shows only that everything runs")
    elif load > 0.5:
        print("# the machine is not idle: expect wide intervals")


def main():
    if sys.argv[1:2] == ["--as-rank"]:
        return as_rank(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only see whether everything runs")
    parser.add_argument("--no-bars", action="store_true", help="exit 0 though bars are missed")
    parser.add_argument("--only", default=",".join(BENCHES), help=f"of {','.join(BENCHES)}")
    parser.add_argument("--build", type=pathlib.Path, default=TOP / "build/release")
    parser.add_argument("--every", type=int, default=1,
                        help="experts-rows: beyond 16 rows only every so many counts; odd, to meet odd ones")
    options = parser.parse_args()
    only = options.only.split(",")
    if not set(only) <= set(BENCHES):
        parser.error(f"--only takes {','.join(BENCHES)}")
    build = options.build.resolve()
    quick = ["--quick"] if options.quick else []
    header(options)
    table = Table()
    # Beside the build, since a temporary folder may lie in memory and write too fast.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir=build))
    layers = []  # seconds of one, by shape and rank count
    try:
        for bench, all_ranks in (("experts", [1]), ("exchange", [2, 4]), ("layer", [1, 2])):
            for ranks in all_ranks if bench in only else []:
                if bench == "layer" and ranks > cores():
                    continue
                for record in lines_of(run([build / f"bench_{bench}", *quick], ranks=ranks)):
                    table.pairs(record)
                    if record["bench"] == "tax":
                        layers.append(median_interval(record["ours"])[0])
        if "experts-rows" in only:
            command = [build / "bench_experts_rows", *quick, "--every", options.every]
            for record in lines_of(run(command, ranks=1, timeout=8 * 3600)):
                table.every_row_count(record)
        if "writing" in only:
            writing(table, build, folder, options.quick, min(layers, default=None))
        if "memory" in only:
            memory(table, build, folder, options.quick)
    except (Failed, OSError, subprocess.TimeoutExpired) as error:
        print(f"bench.py: {error}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"# {table.rows} rows, {table.missed} bars missed")
    return 1 if table.missed and not options.no_bars else 0


if __name__ == "__main__":
    sys.exit(main())
