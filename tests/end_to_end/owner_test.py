"""One output has one owner: a second program that is asked for the same name ends at once and says
who has it; what a dead owner left is in nobody's way; also where a file system has no locks."""

import fcntl
import os
import pathlib
import signal
import subprocess
import time

import h5py
import numpy

from support import HANGS, PROGRAM, SMALL, CliTest, main, small_but

RUN = ["run", *SMALL, "--placements", "linear"]
# Long enough in its profile to be met there.
PROFILING = ["run", *small_but(["--profile-seconds", "60", "--placements", "linear"])]
NO_LOCKS = """
#include <errno.h>
#include <stdlib.h>
int flock(int file, int operation) {
  (void)file, (void)operation;
  errno = atoi(getenv("FLOCK_ERRNO"));
  return -1;
}
"""
ENOLCK, EOPNOTSUPP, ENOTSUPP, EAGAIN, ENOSYS = 37, 95, 524, 11, 38


class OwnerTest(CliTest):
    def start(self, *words, environment=None):
        """A program that still runs when this returns, and owns the name after -o."""
        output = self.folder / words[words.index("-o") + 1]
        job = subprocess.Popen([PROGRAM, *words], cwd=self.folder, text=True,
                               env={**os.environ, **(environment or {})},
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(job.communicate)
        self.addCleanup(job.kill)
        lock, deadline = pathlib.Path(f"{output}.lock"), time.monotonic() + HANGS
        while not lock.exists() or f"process {job.pid}\n" not in lock.read_text():
            self.assertIsNone(job.poll(), "it ended")
            self.assertLess(time.monotonic(), deadline, "no owner")
            time.sleep(0.01)
        return job

    def in_environment(self, environment, *words):
        return self.call("env", *(f"{k}={v}" for k, v in environment.items()), PROGRAM, *words)

    def killed_run(self, name):
        """The unfinished file of a run that was killed."""
        job = self.start("run", *small_but(["--steps", "4000", "--placements", "linear"]), "-o",
                         name)
        partial = self.folder / f"{name}.partial"
        deadline = time.monotonic() + HANGS
        while not self.blocks(partial):
            self.assertLess(time.monotonic(), deadline, "no block was written")
            time.sleep(0.05)
        job.kill()
        job.wait()
        return partial

    def blocks(self, path):
        try:
            with h5py.File(path, locking=False) as file:
                return (file["block"][()] != -1).any()
        except (OSError, KeyError):
            return False

    def complete(self, name):
        self.assertEqual(self.good("compare", name).splitlines()[-2], "# check: PASS")
        with h5py.File(self.folder / name) as file:
            self.assertTrue(numpy.isfinite(file["step_time"][()]).all())
        self.assertEqual([p.name for p in self.folder.glob(f"{name}.*")], [])


class Owner(OwnerTest):
    def test_the_second_of_two_runs_ends_at_once_and_the_first_is_complete(self):
        words = ["run", *small_but(["--placements", "linear"]), "-o",
                 "a.h5"]
        first = self.start(*words)
        first.send_signal(signal.SIGSTOP)  # it owns the name, however slow or fast the machine is
        for more in ([], ["--resume"], ["--overwrite"]):
            done = self.gembench(*words, *more)
            self.one_sentence(done, 4, f"a.h5 is being written by process {first.pid} on "
                                       f"{os.uname().nodename}: ")
        first.send_signal(signal.SIGCONT)
        said = first.communicate(timeout=HANGS)
        self.assertEqual(first.returncode, 0, said)
        self.complete("a.h5")
        # What a job script does when it is queued again: it says that it did nothing.
        again = self.good(*words, "--resume").splitlines()
        self.assertEqual(again[0], "# a.h5 was finished before, nothing was run")
        self.assertEqual(again[1:], self.good("compare", "a.h5").splitlines())

    def test_every_command_asks_for_its_output_first(self):
        self.good("trace", "make", "--layers", "2", "--steps", "40", "-o", "t.h5")
        self.good("plan", "--trace", "t.h5", "--ranks", "4", "-o", "p.json")
        (self.folder / "route.csv").write_text("step,layer,expert,count\n0,0,0,4\n0,0,1,4\n")
        gate = ["run", *small_but(["--routing", "router"]), "-o", "free.h5"]
        commands = [["profile", *SMALL[:8], "-q", "-o", "x"],
                    ["trace", "make", "--layers", "2", "--steps", "40", "-o", "x"],
                    ["trace", "import", "auto", "route.csv", "-o", "x"],
                    ["plan", "--trace", "t.h5", "--ranks", "4", "-o", "x"],
                    ["convert", "p.json", "--to", "sglang", "-o", "x"],
                    [*gate, "--record", "x"],
                    [*RUN, "-o", "x"]]
        with open(self.folder / "x.lock", "w+", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            print("host elsewhere\nprocess 4711", file=lock, flush=True)
            for words in commands:
                for more in ([], ["--overwrite"]):
                    with self.subTest(words=words + more):
                        self.one_sentence(self.gembench(*words, *more), 4,
                                          "x is being written by process 4711 on elsewhere: ")
        self.assertFalse((self.folder / "x").exists())
        for words in commands:
            with self.subTest(words=words):
                if "import" not in words:  # only its name is looked at here
                    self.good(*words, "--overwrite")
        self.assertEqual(list(self.folder.glob("*.lock")), [])

    def test_an_existing_output_is_refused_before_any_work(self):
        (self.folder / "x").write_text("kept")
        # Inputs that are not there: they would be looked at next.
        for words in (["plan", "--trace", "absent.h5", "--ranks", "4"], ["profile", *SMALL[:8]],
                      ["trace", "import", "auto", "absent.csv"]):
            with self.subTest(words=words):
                self.one_sentence(self.gembench(*words, "-o", "x"), 4, "x exists: pass --overwrite")
        self.assertEqual((self.folder / "x").read_text(), "kept")

    def test_all_files_of_a_sweep_belong_to_it_from_its_start(self):
        sweep = [*RUN[:1], *small_but(["--tokens", "64,128", "--placements", "linear"])]
        (self.folder / "a-128.h5").write_text("kept")
        self.one_sentence(self.gembench(*sweep, "-o", "a.h5"), 4, "a-128.h5 exists: ")
        (self.folder / "a-128.h5").unlink()
        with open(self.folder / "a-128.h5.lock", "w+", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            print("host elsewhere\nprocess 4711", file=lock, flush=True)
            self.one_sentence(self.gembench(*sweep, "-o", "a.h5"), 4, "a-128.h5 is being written")
        self.assertEqual(list(self.folder.glob("a-64*")), [])

    def test_one_name_for_two_outputs_of_one_command(self):
        words = ["run", *small_but(["--routing", "router"]), "-o", "a.h5", "--record", "a.h5"]
        self.one_sentence(self.gembench(*words), 4, "a.h5 is named for two outputs")

    def test_a_killed_owner_is_in_nobodys_way(self):
        job = self.start(*PROFILING, "-o", "a.h5")
        job.kill()
        job.wait()
        self.assertTrue((self.folder / "a.h5.lock").exists())
        self.good(*RUN, "-o", "a.h5")
        self.complete("a.h5")

    def test_an_unfinished_file_that_bears_the_final_name_is_completed(self):
        partial = self.killed_run("a.h5")
        partial.rename(self.folder / "a.h5")  # as older versions could leave it
        done = self.gembench("run", *small_but(["--steps", "4000", "--placements", "linear"]),
                             "-o", "a.h5", "--resume", "--timeout", "2")
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertRegex(done.stderr, r"\d+ of 1000 segments are kept in a.h5.partial; continue with: ")
        # One that holds no place for any reading.
        with h5py.File(partial, "r") as file, h5py.File(self.folder / "b.h5", "w") as empty:
            for name in ("schema", "schema_version", "created", "completed"):
                empty.attrs[name] = file.attrs[name]
        self.good(*RUN, "-o", "b.h5", "--resume")
        self.complete("b.h5")


class Resume(OwnerTest):
    def test_a_finished_file_of_another_command_is_not_taken_for_this_ones(self):
        self.good(*RUN, "-o", "a.h5")
        before = (self.folder / "a.h5").read_bytes()
        for name, words, ranks in (("--steps", ["--steps", "16"], None),
                                   ("--placements", ["--placements", "eplb"], None),
                                   ("--slowdown", ["--slowdown", "1.5"], None),
                                   ("--model", ["--model", "mixtral-8x7b"], None),
                                   ("number of ranks", [], 2)):
            given = small_but([*(["--placements", "linear"] if "--placements" not in words else []),
                               *words])
            with self.subTest(name=name):
                done = self.gembench("run", *given, "-o", "a.h5", "--resume", ranks=ranks)
                self.one_sentence(done, 2, f"--resume needs the {name} of the earlier run")
        self.assertEqual((self.folder / "a.h5").read_bytes(), before)

    def test_other_loads_under_the_same_name(self):
        make = ["trace", "make", "--model", "gpt-oss-20b", "--layers", "2", "--tokens", "128",
                "--steps", "48", "-o", "t.h5", "--overwrite"]
        words = [w for i, w in enumerate(RUN) if "--tokens" not in (w, RUN[i - 1])]
        self.good(*make)
        self.good(*words, "--trace", "t.h5", "-o", "a.h5")
        self.assertIn("nothing was run", self.good(*words, "--trace", "t.h5", "-o", "a.h5",
                                                   "--resume").splitlines()[0])
        self.good(*make, "--seed", "9")
        self.one_sentence(self.gembench(*words, "--trace", "t.h5", "-o", "a.h5", "--resume"), 2,
                          "--resume needs the loads of the earlier run")

    def test_formats_that_programs_read_stay_as_they_are(self):
        self.good(*RUN, "-o", "a.h5")
        for form in ("csv", "json"):
            words = [*RUN, "-o", "a.h5", "--resume", "--format", form]
            words.remove("-q")
            done = self.gembench(*words)
            self.assertEqual(done.stdout, self.good("compare", "a.h5", "--format", form))
            self.assertIn("gembench: a.h5 was finished before, nothing was run\n", done.stderr)

    def test_a_newer_unfinished_file_is_not_hidden_by_an_older_finished_one(self):
        self.good(*RUN, "-o", "a.h5")
        long_run = ["run", *small_but(["--steps", "400", "--placements", "linear"])]
        job = self.start(*long_run, "-o", "a.h5", "--overwrite")
        deadline = time.monotonic() + HANGS
        while not self.blocks(self.folder / "a.h5.partial"):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        job.send_signal(signal.SIGTERM)
        said = job.communicate(timeout=HANGS)[1]
        self.assertRegex(said, r"interrupted by SIGTERM: \d+ of 100 segments are kept in "
                               r"a.h5.partial; continue with: .* --resume\n")
        self.assertNotIn("--overwrite", said)
        with h5py.File(self.folder / "a.h5") as file:
            self.assertEqual(file["step"].shape, (8,), "the finished one is still there")
        words = said.partition("continue with: ")[2]
        done = self.call("bash", "-c", words.replace(" -q ", " "))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("a.h5.partial is newer than a.h5: it is continued", done.stderr)
        self.assertIn("# resumed last at", done.stdout)
        self.complete("a.h5")
        # And an older one says nothing.
        (self.folder / "a.h5.partial").write_bytes((self.folder / "a.h5").read_bytes())
        os.utime(self.folder / "a.h5.partial", (1, 1))
        self.assertIn("nothing was run", self.good(*long_run, "-o", "a.h5", "--resume"))

    def test_an_unfinished_file_is_offered_to_be_continued(self):
        self.killed_run("a.h5")
        said = self.gembench("run", *SMALL, "-o", "a.h5")
        self.one_sentence(said, 4, "a.h5.partial holds an unfinished run: continue it with --resume")


class NoLocks(OwnerTest):
    def setUp(self):
        super().setUp()
        (self.folder / "locks.c").write_text(NO_LOCKS)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", "locks.so", "locks.c"], cwd=self.folder,
                       check=True)

    def without(self, error):
        return {"LD_PRELOAD": f"{self.folder}/locks.so", "FLOCK_ERRNO": str(error)}

    def test_everything_is_read_and_written(self):
        for error in (ENOLCK, EOPNOTSUPP, ENOTSUPP, ENOSYS):
            with self.subTest(error=error):
                done = self.in_environment(self.without(error), *RUN, "-o", f"{error}.h5")
                self.assertEqual(done.returncode, 0, done.stderr)
                done = self.in_environment(self.without(error), "compare", f"{error}.h5")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.complete(f"{error}.h5")

    def test_a_lock_that_another_has_is_another_matter(self):
        self.good(*RUN, "-o", "a.h5")
        had = self.without(EAGAIN)
        self.one_sentence(self.in_environment(had, *RUN, "-o", "b.h5"), 4, "b.h5 is being written")
        self.one_sentence(self.in_environment(had, "compare", "a.h5"), 2, "a run is writing it")

    def test_locks_that_were_asked_for_and_are_not_there(self):
        self.good(*RUN, "-o", "a.h5")
        forced = {**self.without(ENOTSUPP), "HDF5_USE_FILE_LOCKING": "TRUE"}
        for code, words in ((4, [*RUN, "-o", "b.h5"]), (2, ["compare", "a.h5"])):
            done = self.in_environment(forced, *words)
            self.one_sentence(done, code, "HDF5_USE_FILE_LOCKING=FALSE")
            self.assertIn("not supported by the file system", done.stderr)
        self.assertEqual([p.name for p in self.folder.glob("b.h5*")], [])

    def test_an_owner_is_known_by_what_it_wrote(self):
        none = self.without(ENOLCK)
        first = self.start(*PROFILING, "-o", "a.h5", environment=none)
        first.send_signal(signal.SIGSTOP)  # it must not end before it is asked about
        for environment in (none, {}):
            self.one_sentence(self.in_environment(environment, *RUN, "-o", "a.h5"), 4,
                              f"a.h5 is being written by process {first.pid} on ")
        first.kill()
        first.wait()
        # It may have begun its file by then.
        done = self.in_environment(none, *RUN, "-o", "a.h5", "--overwrite")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.complete("a.h5")

    def test_an_owner_on_another_host(self):
        none = {**self.without(ENOLCK), "SLURM_JOB_ID": "12", "SLURM_RESTART_COUNT": "1"}
        record = "host elsewhere\nprocesses x\nprocess 4711\nstarted 1\njob {}\nrestarts {}\n"
        lock = self.folder / "a.h5.lock"
        for job, restarts in ((11, 0), (12, 1)):
            lock.write_text(record.format(job, restarts))
            self.one_sentence(self.in_environment(none, *RUN, "-o", "a.h5"), 4,
                              "process 4711 on elsewhere, as far as can be seen from here: wait "
                              "for its end or, if it is gone, delete a.h5.lock")
        # This job, before Slurm queued it again; and wherever there are locks to tell the dead.
        lock.write_text(record.format(12, 0))
        done = self.in_environment(none, *RUN, "-o", "a.h5")
        self.assertEqual(done.returncode, 0, done.stderr)
        lock.write_text(record.format(11, 0))
        self.good(*RUN, "-o", "b.h5")
        (self.folder / "b.h5.lock").write_text(record.format(11, 0))
        self.good(*RUN, "-o", "b.h5", "--overwrite")
        self.complete("b.h5")


class Singletons(OwnerTest):
    def test_tasks_that_do_not_find_each_other_touch_nothing(self):
        slurm = {"SLURM_JOB_ID": 7, "SLURM_STEP_ID": 0, "SLURM_STEP_NUM_TASKS": 2}
        for task in (0, 1):
            for environment, said in (({**slurm, "SLURM_PROCID": task},
                                       "srun started 2 tasks and MPI knows of one only"),
                                      ({"PMI_SIZE": 2, "PMI_RANK": task},
                                       "mpiexec started 2 tasks and MPI knows of one only")):
                with self.subTest(environment=environment):
                    done = self.in_environment(environment, *RUN, "-o", "a.h5")
                    self.assertEqual(done.returncode, 3, done.stderr)
                    self.assertEqual(done.stderr.count("gembench: "), 1 if task == 0 else 0)
                    if task == 0:
                        self.assertIn(said, done.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_one_rank_in_a_batch_script_of_many_tasks(self):
        batch = {"SLURM_JOB_ID": 7, "SLURM_NTASKS": 4, "SLURM_NPROCS": 4, "SLURM_PROCID": 0,
                 "SLURM_LOCALID": 0, "SLURM_NODEID": 0}
        done = self.in_environment(batch, *RUN, "-o", "a.h5")
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    main()
