#!/usr/bin/python3
"""The numbers behind the figures, against direct calculation on small runs."""

from dataclasses import replace

import numpy as np

from analysis_support import ReportTest, main
from gembench_analysis import attribution, experts, figures
from gembench_analysis import reduction
from gembench_analysis.draw_ranks import pooled
from gembench_analysis.loading import load
from gembench_analysis.reduction import reduce
from gembench_analysis.summary import drift, summarise
from gembench_analysis.verdict import verdict


class Figures(ReportTest):
    def runs(self, **shape):
        run = load(self.made(**shape))
        return run, reduce(run)

    def test_reduction_does_not_depend_on_chunks(self):
        run, whole = self.runs(steps=40, clock="wall")
        cells = reduction.CELLS
        self.addCleanup(setattr, reduction, "CELLS", cells)
        reduction.CELLS = 7 * 2 * 4
        parts = reduce(run)
        for name in whole:
            np.testing.assert_allclose(parts[name].values, whole[name].values, rtol=1e-12,
                                       atol=1e-18, err_msg=str(name))

    def test_sums_are_those_of_the_file(self):
        run, small = self.runs(clock="wall")
        np.testing.assert_allclose(small["step_time"], run["step_time"].max("rank"), rtol=1e-6)
        np.testing.assert_allclose(figures.wait_map(small).transpose("placement", "layer", "rank"),
                                   run["barrier_wait"].mean("step"), rtol=1e-5)
        arrival = run["route_time"] + run["dispatch_time"] + run["expert_time"]
        last = arrival.argmax("rank")
        for rank in range(4):
            np.testing.assert_array_equal(small["last"].values[:, :, rank],
                                          (last == rank).sum("step"))
        share = figures.straggler_share(small)
        np.testing.assert_allclose(share.sum("rank"), 1)
        for label, value in figures.barrier_share(small).items():
            one = run.sel(placement=label)
            self.assertAlmostEqual(value, float(
                one["barrier_wait"].mean("rank").sum("layer").mean()
                / one["step_time"].max("rank").mean()), places=6)

    def test_causes_add_up_to_the_wait(self):
        for clock in ("cpu-time", "wall"):
            _, small = self.runs(clock=clock)
            np.testing.assert_allclose(figures.causes(small).sum(("rank", "cause")),
                                       small["wait"].mean("step"), rtol=1e-5)

    def test_the_slow_rank_is_blamed_for_its_speed(self):
        _, small = self.runs()
        causes = figures.causes(small).sel(placement="linear").isel(rank=1)
        self.assertEqual(str(causes["cause"].values[causes.values.argmax()]), "speed")
        share = figures.straggler_share(small).sel(placement="linear")
        self.assertEqual(int(share.values.argmax()), 1)

    def test_a_loaded_rank_is_blamed_for_its_load(self):
        profile = attribution.Profile(np.array([0.0, 100.0]), np.array([[0, 1.0], [0, 1.0]]))
        tokens = np.array([[50.0, 100.0]])
        arrival = profile.seconds(tokens)[..., 0]
        found = attribution.split(profile, tokens, np.zeros_like(tokens), arrival, np.array([1]))
        np.testing.assert_allclose(found, [[0.25, 0, 0, 0]], atol=1e-15)

    def test_profile_is_read_as_the_program_reads_it(self):
        """The file's prediction = slowest rank by our interpolation + overhead."""
        run, small = self.runs()
        profile = attribution.Profile.of(run)
        tokens = run["assignments"].values
        own, common = profile.own_and_common(tokens)
        every = profile.seconds(tokens)
        np.testing.assert_allclose(own, np.einsum("...rr->...r", every))
        np.testing.assert_allclose(common, every.mean(axis=-1))
        time = (own + run["profile_overhead"].values).max(axis=3)
        np.testing.assert_allclose(time, run["predicted_layer_time"].values, rtol=1e-6)
        beyond = profile.seconds(np.array([300.0]))[0]  # the last load point is 200
        np.testing.assert_allclose(beyond, 300e-5 * run["slowdown"].values)
        error = figures.prediction_error(small)
        np.testing.assert_allclose(error, small["predicted"] / small["measured"] - 1)

    def test_speeds_and_drift(self):
        run, small = self.runs()
        found = figures.rank_speeds(run, small)
        np.testing.assert_allclose(found.relative, [1, 1.5, 1, 1])
        np.testing.assert_allclose(drift(run), 0.1)
        run, small = self.runs(profile=False)
        self.assertIsNone(figures.rank_speeds(run, small))
        self.assertIsNone(drift(run))

    def test_uneven_drift_is_warned_of(self):
        run, small = self.runs()
        rows = summarise(run)
        self.assertNotIn("unevenly", " ".join(verdict(run, small, rows).warnings))
        run["profile_after"] = run["profile_latency"] * [[1.0], [1.2], [1.0], [1.0]]
        said = " ".join(verdict(run, small, rows).warnings)
        self.assertIn("+0 to +20 %", said)

    def test_experts_are_told_apart(self):
        run, _ = self.runs(steps=36)
        layer = experts.layer_loads(run, 0, most_windows=9)
        self.assertEqual([experts.KINDS[k] for k in layer.kind[:3]],
                         ["consistent", "temporal", "consistent"])
        self.assertEqual((layer.windows.shape, layer.window_steps), ((8, 9), 4))
        tokens = run["expert_tokens"].values[:, 0]
        np.testing.assert_allclose(layer.mean, tokens.mean(axis=0))
        np.testing.assert_allclose(layer.windows[:, 0], tokens[:4].mean(axis=0))
        self.assertEqual(experts.layers_to_show(np.array([1.0, 5, 3]), 2), [1, 2])

    def test_over_the_run_is_in_order(self):
        _, small = self.runs(steps=32)
        course = figures.over_the_run(small, most=8)["gem"]
        self.assertTrue((np.diff(course.order) > 0).all() and course.pooled)
        self.assertAlmostEqual(course.seconds.mean(),
                               float(small["step_time"].sel(placement="gem").mean()))

    def test_pooling_keeps_the_mean(self):
        values, names = pooled(np.arange(10.0)[:, None], 4, 0)
        self.assertEqual(values[:, 0].tolist(), [1, 4, 7, 9])
        self.assertEqual(pooled(np.arange(10.0)[:, None], 4, 0, least=True)[0][:, 0].tolist(),
                         [0, 3, 6, 9])
        self.assertEqual(names, ["0-2", "3-5", "6-8", "9"])

    def test_verdict_names_the_best_only_when_it_is_sure(self):
        run, small = self.runs(steps=64)
        found = verdict(run, small, summarise(run))
        self.assertEqual(found.best, "gem")
        self.assertRegex(found.sentence, r"gem is faster than linear: step time -\d+\.\d % \(95 % interval -")
        self.assertTrue(found.slow.startswith("Rank 1: "), found.slow)
        self.assertIn("EMULATED", found.conditions)

    def test_verdict_names_none_where_the_interval_holds_zero(self):
        run, small = self.runs(steps=64, gain=0)
        found = verdict(run, small, summarise(run))
        self.assertIsNone(found.best)
        self.assertRegex(found.sentence, "No placement is certainly faster than linear")

    def test_verdict_looks_at_every_interval(self):
        run, small = self.runs()
        rows = summarise(run)

        def of(*intervals):
            """With these intervals of eplb and gem against linear; None = too few blocks."""
            changed = [rows[0]]
            for row, (typical, *ends) in zip(rows[1:], intervals):
                low, high = ends or (None, None)
                changed.append(replace(row, difference=replace(row.difference, typical=typical, low=low, high=high)))
            found = verdict(run, small, changed)
            return found.outcome, found.sentence

        slower, nearer = (0.3, 0.2, 0.4), (0.05, 0.02, 0.08)
        self.assertRegex(" ".join(of(slower, nearer)), "^slower Every other placement is slower .* next, gem,")
        # Whatever order they come in, and although the unsure one's estimate is the larger.
        for pair in (((0.1, -0.1, 0.3), nearer), (nearer, (0.1, -0.1, 0.3))):
            self.assertRegex(" ".join(of(*pair)), "^not conclusive No placement is certainly faster than linear: "
                                                  r".* step time \+10.0 %, and the interval includes zero")
        for pair in (((0.1,), nearer), (nearer, (0.1,)), ((0.1,), (0.2,))):
            self.assertRegex(" ".join(of(*pair)), r"^not conclusive Too short for a verdict: .* \+10.0 % \(no interval")
        for pair in (((-0.3, -0.7, 0.1), (-0.05, -0.08, -0.02)), ((-0.3,), (-0.05, -0.08, -0.02))):
            self.assertRegex(" ".join(of(*pair)), "^faster gem is faster than linear")

    def test_the_lead_is_over_the_runner_up(self):
        run, small = self.runs(steps=64)
        rows = summarise(run)
        self.assertEqual([list(row.against) for row in rows],
                         [["eplb", "gem"], ["linear", "gem"], ["linear", "eplb"]])
        there, back = rows[2].against["eplb"], rows[1].against["gem"]
        self.assertAlmostEqual((1 + there.typical) * (1 + back.typical), 1)
        self.assertIn(f"runner-up eplb: step time {100 * there.typical:+.1f} %",
                      verdict(run, small, rows).lead)


if __name__ == "__main__":
    main()
