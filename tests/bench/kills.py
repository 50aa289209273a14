#!/usr/bin/python3
"""One rank dies: a random rank of a small run is killed (SIGKILL) at a random moment, many times.

Every time the job must end within 10 s and not with 0, and leave no rank behind. A FILE.partial,
when there is one, must be readable and hold whole segments. `run --resume` must then complete it to a
file whose routing, placements and schedule are those of a run that nobody disturbed.

In between, two runs are started with one output, the second at a random moment of the first: the
first must end with 0 and a complete file, the second with 4, or after the first's end, which is told
by the file that is there.

Moments are drawn from the whole run: start, profiling, measuring, profiling again, the end. Since
writing takes but a thousandth of it, every third kill waits for the next write, give or take, and
then it is the writing rank that dies. Half of the runs read a profile and plan with it; the others
measure their own first, so they compare placements that no profile changes.

mpirun of Open MPI 4.1 may itself hang when a rank dies while connecting to it in MPI_Init: all
ranks are gone then, and mpirun waits in PMIx_server_finalize for a lock of its own. That is not the
program's doing, so it is counted apart and may happen in one kill of ten.
"""

import argparse
import dataclasses
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import time

import h5py
import numpy

import support

LIMIT = 10.0  # seconds from the kill to the end of the job
# Many short segments, 192 of them: most of the run, on a fast machine too.
SIZE = ["--model", "gpt-oss-20b", "--scale", "16", "--layers", "2", "--tokens", "128"]
RUN = [*SIZE, "--steps", "192", "--block", "2", "--warmup", "1", "--plan-steps", "16",
       "--profile-seconds", "0"]
IDENTICAL = ["expert_tokens", "slots", "order", "block", "assignments", "bytes_sent", "bytes_pair",
             "segments/to_placement", "segments/first_step", "segments/steps", "segments/in_block"]


@dataclasses.dataclass
class Case:
    """A command that is killed, and what comes of it when it is not."""
    ranks: int
    words: list
    seconds: float = 0
    arrays: dict = dataclasses.field(default_factory=dict)


def arrays_of(path):
    with h5py.File(path) as file:
        return {name: file[name][()] for name in IDENTICAL}


def undisturbed(case, folder):
    begin = time.monotonic()
    result = support.run(case.ranks, folder, *case.words, "-o", "undisturbed.h5", "--overwrite")
    case.seconds = time.monotonic() - begin
    case.arrays = arrays_of(folder / "undisturbed.h5")
    return result


def ranks_of(launcher):
    """{rank: process} of an mpirun."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        try:
            status = (entry / "stat").read_text().rpartition(")")[2].split()
            if status[1] == str(launcher) and status[0] != "Z":
                words = (entry / "environ").read_bytes().split(b"\0")
                rank = [w for w in words if w.startswith(b"OMPI_COMM_WORLD_RANK=")]
                found[int(rank[0].partition(b"=")[2])] = int(entry.name)
        except (OSError, IndexError):  # no process, or gone meanwhile, or not a rank
            continue
    return found


def alive(process):
    """Whether any thread of it runs: only then are its files closed and their locks free."""
    try:
        return any("Z" not in task.read_text().rpartition(")")[2]
                   for task in pathlib.Path(f"/proc/{process}/task").glob("*/stat"))
    except OSError:  # it went meanwhile
        return alive(process)


def wait_for_write(partial, job):
    """Until the file is written to, or the job has ended."""
    def written():
        try:
            return partial.stat().st_mtime_ns
        except OSError:  # not yet, or no longer
            return None
    before = written()
    while job.poll() is None and written() == before:
        time.sleep(0.0005)


def kill_one(case, folder, output, draw, on_write):
    """Starts the run and kills a rank of it: (moment, rank, exit code or None for a job that did
    not end, seconds it took, ranks left behind); nothing when the run was over by then."""
    job = subprocess.Popen(support.launch(case.ranks, "run", *case.words, "-o", output, "-q"),
                           cwd=folder, env=support.ENVIRONMENT, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
    begin = time.monotonic()
    time.sleep(draw.uniform(0, case.seconds))
    if on_write:
        wait_for_write(folder / f"{output}.partial", job)
        time.sleep(draw.uniform(0, 0.003))
    processes = ranks_of(job.pid)
    if not processes or (folder / output).exists():
        job.wait()
        return None
    rank = min(processes) if on_write else draw.choice(sorted(processes))
    killed = time.monotonic()
    try:
        os.kill(processes[rank], signal.SIGKILL)
    except ProcessLookupError:
        job.wait()
        return None
    try:
        code = job.wait(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        code = None
    ended = time.monotonic() - killed
    while any(map(alive, processes.values())) and time.monotonic() - killed < LIMIT:
        time.sleep(0.01)
    left = sum(map(alive, processes.values()))
    if code is None:
        job.kill()
        job.wait()
    return killed - begin, rank, code, ended, left


def whole_segments(partial):
    """(finished segments, what is wrong) of an unfinished file."""
    with h5py.File(partial) as file:
        if "placement" not in file:
            return 0, None
        segments = {name: file[f"segments/{name}"][()] for name in
                 ("to_placement", "first_step", "steps", "in_block")}
        block, time_, tokens = (file[name][()] for name in ("block", "layer_time", "assignments"))
    finished = 0
    for placement, first, steps, index in zip(*segments.values()):
        of_segment = placement, slice(first, first + steps)
        if (block[of_segment] == -1).all():
            continue
        finished += 1
        if (block[of_segment] != index).any():
            return finished, f"segment of block {index} is there in part"
        if not numpy.isfinite(time_[of_segment]).all() or (tokens[of_segment] < 0).any():
            return finished, f"segment of block {index} lacks readings"
    return finished, None


def wrong_with(case, folder, output, outcome):
    """(finished segments, violations) after a kill; resumes the run."""
    _, _, code, _, left = outcome
    wrong, finished = [], 0
    if code == 0:
        wrong.append("exit code 0")
    if left:
        wrong.append(f"{left} ranks left behind")
    partial = folder / f"{output}.partial"
    if partial.exists():
        try:
            finished, what = whole_segments(partial)
            wrong += [what] if what else []
        except (OSError, KeyError) as error:
            wrong.append(f"h5py: {error}")
        shown = support.call([support.PROGRAM, "compare", partial], folder)
        if finished and shown.returncode != 0:
            wrong.append(f"compare: {shown.stderr.strip()}")
    resumed = support.call(support.launch(case.ranks, "run", *case.words, "-o", output, "-q",
                                          "--resume"), folder)
    if resumed.returncode != 0:
        return finished, wrong + [f"--resume: {resumed.stderr.strip()}"]
    arrays = arrays_of(folder / output)
    wrong += [f"{name} differs" for name in IDENTICAL
              if not numpy.array_equal(arrays[name], case.arrays[name])]
    return finished, wrong


def start_twice(case, folder, output, draw):
    """Starts the run twice: (seconds between them, exit codes, violations)."""
    def start(**how):
        return subprocess.Popen(support.launch(case.ranks, "run", *case.words, "-o", output, "-q"),
                                cwd=folder, env=support.ENVIRONMENT, stdout=subprocess.DEVNULL,
                                text=True, **how)
    first, apart = start(stderr=subprocess.DEVNULL), draw.uniform(0, case.seconds)
    time.sleep(apart)
    second = start(stderr=subprocess.PIPE)
    said = second.communicate()[1]
    codes = [first.wait(), second.returncode]
    # Started at once, either may be the first to ask for the name.
    wrong = [] if sorted(codes) == [0, 4] else [f"exit codes {codes}"]
    if codes == [0, 4] and not ("is being written by process" in said or "exists: " in said):
        wrong.append(f"second: {said.strip()}")
    arrays = arrays_of(folder / output)
    wrong += [f"{name} differs" for name in IDENTICAL
              if not numpy.array_equal(arrays[name], case.arrays[name])]
    wrong += [f"{path.name} is left" for path in folder.glob(f"{output}.*")]
    return apart, codes, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--doubles", type=int, default=20, help="double starts")
    parser.add_argument("--seed", type=int, default=1, help="of moments and ranks")
    options = parser.parse_args()
    draw = random.Random(options.seed)

    with tempfile.TemporaryDirectory(prefix="gembench-kills-") as name:
        folder, cases, violations, hangs = pathlib.Path(name), [], 0, 0
        for ranks in (2, 4):
            profile = f"profile{ranks}.h5"
            support.good(support.launch(ranks, "profile", *SIZE, "--profile-seconds", "0", "-o",
                                        profile, "-q"), folder)
            cases += [Case(ranks, [*RUN, "--placements", "linear,gem", "--profile", profile]),
                      Case(ranks, [*RUN, "--placements", "linear,round-robin"])]
        for case in cases:
            print(support.conditions(undisturbed(case, folder)))
        print("# double  ranks  apart s  exits  violations")
        doubled = 0
        for double in range(options.doubles):
            case = cases[double % len(cases)]
            apart, codes, wrong = start_twice(case, folder, f"double{double}.h5", draw)
            print(f"  {double:6}  {case.ranks:5}  {apart:7.2f}  {codes[0]}, {codes[1]}   "
                  f"{'; '.join(wrong) or '-'}", flush=True)
            doubled += bool(wrong)
        print("# kill  ranks  profile  moment s  of s  rank  exit  after s  segments  violations")
        kill = 0
        while kill < options.runs:
            case, output = cases[kill % len(cases)], f"{kill}.h5"
            outcome = kill_one(case, folder, output, draw, on_write=kill % 3 == 2)
            if outcome is None:  # too late: draw again
                (folder / output).unlink(missing_ok=True)
                continue
            finished, wrong = wrong_with(case, folder, output, outcome)
            moment, rank, code, ended, _ = outcome
            profile = "read" if "--profile" in case.words else "own"
            print(f"  {kill:4}  {case.ranks:5}  {profile:7}  {moment:8.2f}  {case.seconds:4.1f}  "
                  f"{rank:4}  {'hung' if code is None else code:4}  {ended:7.2f}  "
                  f"{finished:2}/{len(case.arrays['segments/steps'])}  {'; '.join(wrong) or '-'}",
                  flush=True)
            violations += bool(wrong)
            hangs += code is None
            kill += 1
    support.verdict([
        (doubled == 0, f"{options.doubles - doubled} of {options.doubles} double starts without a "
                       "violation"),
        (violations == 0, f"{options.runs - violations} of {options.runs} without a violation"),
        (hangs <= options.runs / 10, f"{hangs} times mpirun itself hung, its ranks gone"),
    ])


if __name__ == "__main__":
    main()
