"""The Python package as `pip install` makes it from its folder, in an environment of its own."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import venv

TOP = pathlib.Path(os.environ["GEMBENCH_TOP"])
PROGRAM = os.environ["GEMBENCH"]
PACKAGE = TOP / "placement/python"
HANGS = 1200  # seconds; it compiles
SKIPPED = 77


def installed(folder):
    """A Python that has the package; nothing where there is no package index to build from."""
    venv.create(folder, with_pip=True)
    python = pathlib.Path(folder) / "bin/python"
    # What Debian has already (h5py for profiles) is looked for behind what pip installs.
    done = subprocess.run([python, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, "nanobind"],
                          capture_output=True, text=True, timeout=HANGS)
    if done.returncode:
        return None
    done = subprocess.run([python, "-m", "pip", "install", "-q", f"{PACKAGE}[profiles]"],
                          capture_output=True, text=True, timeout=HANGS)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return python


class Package(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="gembench-python-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def call(self, *words):
        done = subprocess.run([str(word) for word in words], cwd=self.folder, capture_output=True, text=True,
                              timeout=HANGS)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def python(self, text):
        """What a program prints; it begins with numpy, the package and made loads."""
        begin = ("import numpy as np, gembench, json\n"
                 "loads = np.random.default_rng(1).poisson(40, (6, 2, 8)).astype(np.int32)\n"
                 "loads[:, :, 0] += 100\n")
        return self.call(PYTHON, "-c", begin + text)

    def test_the_program_of_the_readme_runs(self):
        program, = re.findall(r"```python\n(.*?)```", (PACKAGE / "README.md").read_text(), re.S)
        out = self.python(program)
        self.assertIn("(4, 40)", out)
        self.assertLessEqual(int(out.split()[-1]), 4 * 4)

    def test_kinds_of_arrays_are_read_alike(self):
        self.assertEqual(self.python("""
class Tensor:  # as torch's
    def __init__(self, array): self.array = array
    def detach(self): return self
    def cpu(self): return self
    def numpy(self): return self.array
class Capsule:  # as others', by DLPack
    def __init__(self, array): self.array = array
    def __dlpack__(self, **how): return self.array.__dlpack__(**how)
    def __dlpack_device__(self): return self.array.__dlpack_device__()
plain = gembench.plan(loads, ranks=4, slots=3).phy2log
for same in (loads.astype(np.int64), loads.astype(np.uint16), loads.tolist(), np.asfortranarray(loads),
             Tensor(loads), Capsule(loads)):
    assert (gembench.plan(same, ranks=4, slots=3).phy2log == plain).all(), type(same)
assert (gembench.plan(loads.sum(axis=0), ranks=4, slots=3, steps_in_row=6).phy2log.shape == plain.shape)
print(plain.dtype, plain.shape)
"""), "int64 (2, 12)\n")

    def test_slow_and_dead_ranks(self):
        self.python("""
blind = gembench.plan(loads, ranks=4, slots=3, strategy='eplb')
slow = dict(speeds=[1, 1, 1, .3])
aware = gembench.plan(loads, ranks=4, slots=3, **slow)
assert gembench.score(loads, aware.phy2log, ranks=4, **slow).step_seconds < \\
    .8 * gembench.score(loads, blind.phy2log, ranks=4, **slow).step_seconds
dead = gembench.plan(loads, ranks=4, slots=3, speeds=[1, 0, 1, 1], previous=aware.phy2log, max_moves=2)
assert (dead.phy2log[:, 3:6] == -1).all() and (dead.phy2log[:, :3] >= 0).all() and not dead.note
""")

    def test_inverting_agrees_with_looking(self):
        self.python("""
plan = gembench.plan(loads, ranks=4, slots=3)
slots_of, counts = plan.log2phy(8)
for layer in range(2):
    for expert in range(8):
        found = [p for p in range(12) if plan.phy2log[layer, p] == expert]
        assert counts[layer, expert] == len(found)
        assert slots_of[layer, expert].tolist() == found + [-1] * (slots_of.shape[2] - len(found))
""")

    def test_mistakes_are_errors_with_a_sentence(self):
        self.assertEqual(re.sub("one of .*", "one of NAMES", self.python("""
for call in (lambda: gembench.plan(loads, ranks=4, slots=1), lambda: gembench.plan(-loads, ranks=4),
             lambda: gembench.plan(loads, ranks=4, speeds=[1, 2]), lambda: gembench.plan(loads + .5, ranks=4),
             lambda: gembench.plan(loads[0, 0], ranks=4), lambda: gembench.plan(loads, ranks=0),
             lambda: gembench.plan(loads, ranks=4, strategy='gme'), lambda: gembench.invert([[9]], 8),
             lambda: gembench.score(loads, np.zeros((2, 12), dtype=int), ranks=4)):
    try:
        call()
        print('no error')
    except (ValueError, TypeError) as error:
        print(error)
""")), """4 live ranks with 1 slots cannot hold 8 experts
step 0, layer 0: loads are below 0 or sum beyond 64 bits
speeds must be one for each rank
loads must be whole numbers, not float64
loads must have 3 axes, not 1
ranks must be at least 1
there is no strategy 'gme' (did you mean 'gem'?); choose one of NAMES
the map names experts beyond 0 .. 7
expert 1 of layer 0 has no slot on a live rank
""")
        self.assertIn("do not divide", self.python(
            "print(gembench.plan(loads, ranks=4, strategy='eplb-hier', nodes=3).note)"))

    def test_two_processes_and_any_number_of_threads_plan_the_same(self):
        program = ("for threads in (1, 2, 4): print(gembench.plan(loads, ranks=4, slots=3, threads=threads, "
                   "strategy='gem+').phy2log.tobytes().hex())")
        first, second = self.python(program), self.python(program)
        self.assertEqual(first, second)
        self.assertEqual(len(set(first.split())), 1)

    def test_profiles_of_the_program(self):
        self.call(TOP / "jobs/local.sh", "-n", 2, "profile", "--model", "olmoe-1b-7b", "--scale", "16", "--layers", "1",
                  "--tokens", "64", "--profile-seconds", "1", "--slowdown", "1,2", "-q", "-o", "profile.h5")
        self.python("""
profile = gembench.Profile.load('profile.h5')
assert profile.device_ids == ['', '']  # CPUs
assert profile.ranks == 2 and (profile.latency > 0).all() and profile.load_points[0] == 0
assert profile.latency[1].sum() > 1.5 * profile.latency[0].sum()
plan = gembench.plan(loads, ranks=2, slots=6, profile=profile)
fewer = [loads[:, 0, plan.phy2log[0, rank * 6:rank * 6 + 6]].sum() for rank in range(2)]
""")
        with self.assertRaises(AssertionError) as raised:
            self.python("gembench.Profile.load('profile.h5').of(['GPU-1'])")
        self.assertIn("measure it again on these GPUs", str(raised.exception))

    def test_converts_as_the_program_does(self):
        self.call(PROGRAM, "trace", "make", "--model", "olmoe-1b-7b", "--layers", "2", "--tokens", "64", "--steps", "4",
                  "-o", "t.h5")
        self.call(PROGRAM, "plan", "--trace", "t.h5", "--ranks", "4", "--strategy", "gem", "-o", "p.json")
        self.call(PROGRAM, "convert", "p.json", "--to", "sglang", "-o", "s.json")
        text = self.python("print(gembench.convert('p.json', 'sglang'))")
        self.assertEqual(json.loads(text), json.loads((self.folder / "s.json").read_text()))
        with self.assertRaises(AssertionError) as raised:
            self.python("gembench.convert('p.json', 'sgl')")
        self.assertIn("ValueError", str(raised.exception))

    def test_shapes_of_models(self):
        (self.folder / "config.json").write_text(json.dumps({
            "model_type": "made", "hidden_size": 64, "moe_intermediate_size": 16, "n_routed_experts": 8,
            "num_experts_per_tok": 2, "n_shared_experts": 1, "num_hidden_layers": 4, "first_k_dense_replace": 1}))
        self.assertEqual(self.python("print(gembench.ModelShape.load('.'))"),
                         "ModelShape(type='made', moe_layers=[1, 2, 3], model_layers=4, experts=8, topk=2, shared=1, "
                         "hidden=64, ffn=16)\n")
        # The program reads the same.
        self.assertRegex(self.call(PROGRAM, "run", "--model", "./config.json", "--dry-run", "--ranks", "2", "--tokens",
                                   "32", "--steps", "8"),
                         r"3 layers x 8 experts \+ 1 shared, top-2, hidden 64, ffn 16")

    def test_plug_ins_plan_with_it(self):
        self.call(PYTHON, TOP / "tests/placement/python/plugins_test.py")

    def test_the_folder_without_the_clone_says_what_it_lacks(self):
        shutil.copytree(PACKAGE, self.folder / "alone")
        done = subprocess.run(["cmake", "-S", "alone", "-B", "build"], cwd=self.folder, capture_output=True, text=True,
                              timeout=HANGS)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("built from a clone", done.stderr)

    def test_types_hold(self):
        if shutil.which("mypy") is None:
            self.skipTest("mypy is not installed")
        self.call("mypy", "--config-file", PACKAGE / "pyproject.toml", "--cache-dir", self.folder, PACKAGE / "gembench")

    def test_the_wheel_needs_nothing_but_numpy(self):
        needs = self.python("print(*__import__('importlib.metadata').metadata.requires('gembench-planner'), sep='\\n')")
        self.assertEqual([line for line in needs.splitlines() if "extra" not in line], ["numpy>=1.23"])
        self.assertIn("MIT", self.python("print(__import__('importlib.metadata').metadata.distribution("
                                         "'gembench-planner').read_text('licenses/LICENSE'))"))
        library, = self.python("print(gembench._planner.__file__)").split()
        self.assertNotRegex(self.call("readelf", "-d", library), "NEEDED.*(fmt|archive|zip|yaml|mpi|hdf5)")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="gembench-python-") as environment:
        PYTHON = os.environ.get("GEMBENCH_PACKAGE_PYTHON") or installed(environment)
        if PYTHON is None:
            print("skipped: no package index can be reached")
            sys.exit(SKIPPED)
        unittest.main(verbosity=2)
