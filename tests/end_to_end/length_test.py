"""How long a run measures: exact steps, until its intervals are narrow enough, or a limit of time."""

import json

import h5py
import numpy

from support import SMALL, CliTest, main, small_but

OPEN = [word for word in small_but([]) if word != "-q"]
for option in ("--steps", "--block"):
    del OPEN[OPEN.index(option):OPEN.index(option) + 2]
RUN = ["run", *OPEN, "-q", "--placements", "linear,gem", "-o", "a.h5"]


LOOKS = (24, 32, 48, 64, 96, 128, 192, 256, 384, 512)  # single steps after which intervals are looked at


def measured_steps(file):
    return [int((blocks >= 0).sum()) for blocks in file["block"][:]]


class Length(CliTest):
    def test_it_ends_where_intervals_are_as_narrow_as_asked(self):
        out = self.good(*RUN, "--precision", "100", ranks=2)
        self.assertRegex(out, r"# measuring ended: every interval is within \+-\S+ points, as "
                              r"--precision 100 asks")
        self.assertIn("at most 512 steps measured", out)
        self.assertEqual(out.splitlines()[-2], "# check: PASS")
        self.assertNotIn("INCOMPLETE", out)
        self.assertEqual(self.good("compare", "a.h5"), out)
        answer = json.loads(self.good("compare", "a.h5", "--format", "json"))
        self.assertIn("--precision 100", answer["stopped"])
        with h5py.File(self.folder / "a.h5") as f:
            steps, other = measured_steps(f)
            self.assertEqual(steps, other)
            self.assertIn(steps, LOOKS)
            self.assertEqual(f["step_time"].shape, (2, 512, 2), "room for the most there may be")
            self.assertFalse(numpy.isnan(f["step_time"][:, :steps]).any())
            self.assertTrue(numpy.isnan(f["step_time"][:, steps:]).all())
            checked = f["segments/checked_tokens"][:] > 0
            self.assertEqual(list(f["segments/first_step"][checked]), [steps - 1] * 2, "what ran last")
            moved = f["segments/experts_moved"][:] >= 0
            self.assertEqual(list(f["segments/first_step"][moved]), [0, 0],
                             "nothing moves; what a switch takes was timed before")

    def test_it_ends_when_its_time_is_over_and_says_what_is_missing(self):
        out = self.good(*RUN, "--max-seconds", "0.000001", ranks=2)
        self.assertRegex(out, r"# measuring ended: .* \(--max-seconds 1e-06\)")
        self.assertIn("no interval: 1 block of the 6 needed, give it a longer --max-seconds", out)
        with h5py.File(self.folder / "a.h5") as f:
            self.assertEqual(measured_steps(f), [1, 1], "a block is always finished")

    def test_steps_alone_are_exact_and_beside_a_rule_a_limit(self):
        out = self.good(*RUN, "--steps", "7", ranks=2)
        self.assertIn("# measuring ended: 7 steps were measured, as --steps asks", out)
        self.assertIn("exactly 7 steps measured", out)
        with h5py.File(self.folder / "a.h5") as f:
            self.assertEqual(measured_steps(f), [7, 7])
        out = self.good(*RUN, "--steps", "7", "--precision", "50", "--overwrite", ranks=2)
        self.assertIn("# measuring ended: 7 steps were measured, the most that --steps allows", out)

    def test_a_run_that_was_cut_off_goes_on_to_the_same_end(self):
        words = [*RUN, "--precision", "100"]
        self.good(*words, ranks=2)
        whole = self.folder / "a.h5"
        for lost in (0, 5):  # segments at the end, as a kill loses them; 0: killed before the check
            whole.rename(self.folder / "a.h5.partial")
            with h5py.File(self.folder / "a.h5.partial", "r+") as f:
                f.attrs["completed"] = numpy.int64(0)
                f["segments/checked_tokens"][:] = -1
                f["segments/check_passed"][:] = -1
                order = f["order"][:]
                gone = (order >= order.max() + 1 - lost) | (order < 0)
                f["block"][:] = numpy.where(gone, -1, f["block"][:])
            out = self.good(*words, "--resume", ranks=2)
            self.assertEqual(out.splitlines()[-2], "# check: PASS")
            with h5py.File(whole) as f:
                steps, other = measured_steps(f)
                self.assertEqual(steps, other)
                self.assertIn(steps, LOOKS)
                self.assertEqual(int((f["segments/checked_tokens"][:] > 0).sum()), 2)

    def test_what_it_may_take_is_said_before(self):
        out = self.good(*RUN, "--dry-run", ranks=2)
        self.assertIn("placements alternate step by step with all experts in memory", out)
        self.assertRegex(out, r"less where every interval is within \+-2 points or 150 s are over")
        out = self.good(*RUN, "--dry-run", "--ranks", "2")
        self.assertRegex(out, r"# placements alternate step by step .*, where a rank has [\d.]+ [MG]iB; "
                              r"else in blocks")

    def test_precision_needs_something_to_compare(self):
        done = self.gembench("run", *SMALL, "--placements", "linear", "--precision", "1", "-o", "b.h5")
        self.one_sentence(done, 2, "name several")


if __name__ == "__main__":
    main()
