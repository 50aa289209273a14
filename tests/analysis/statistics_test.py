#!/usr/bin/python3
"""Quantiles and intervals."""

import math
import unittest

from analysis_support import main
import numpy as np

from gembench_analysis.intervals import (Blocks, mean_interval, proportion_interval,
                                         quantile_interval, ratio_interval)
from gembench_analysis.statistics import (paired_difference, quantile, student_cdf,
                                          student_quantile)


class Distributions(unittest.TestCase):
    def test_quantiles_of_student_are_those_of_tables(self):
        for freedom, value in ((1, 12.7062047), (2, 4.3026527), (3, 3.1824463), (4, 2.7764451),
                               (5, 2.5705818), (10, 2.2281389), (29, 2.0452296), (120, 1.9799304)):
            self.assertAlmostEqual(student_quantile(0.975, freedom), value, delta=5e-8)

    def test_cdf_agrees_with_an_integral_of_the_density(self):
        for freedom in (1, 2, 3, 4, 7, 8):
            scale = math.gamma((freedom + 1) / 2) / math.sqrt(freedom * math.pi) / math.gamma(
                freedom / 2)
            t = np.linspace(0, 1.7, 20001)
            area = np.trapz(scale * (1 + t * t / freedom) ** (-(freedom + 1) / 2), t)
            self.assertAlmostEqual(student_cdf(1.7, freedom), 0.5 + area, delta=1e-8)

    def test_quantile_interpolates(self):
        self.assertEqual(quantile([4, 1, 3, 2], 0.5), 2.5)
        self.assertEqual(quantile([4, 1, 3, 2], 1), 4)
        self.assertTrue(math.isnan(quantile([], 0.5)))


class PairedDifferences(unittest.TestCase):
    def test_no_difference_where_there_is_none(self):
        a = np.random.default_rng(1).uniform(1, 2, 64)
        found = paired_difference(a, a, np.arange(64) // 8)
        self.assertEqual((found.mean, found.typical, found.low, found.high, found.blocks),
                         (0, 0, 0, 0, 8))
        self.assertFalse(found.sure)

    def test_constant_ratio_has_no_width(self):
        a = np.random.default_rng(1).uniform(1, 2, 64)
        found = paired_difference(a, 0.9 * a, np.arange(64) // 8)
        for value in (found.mean, found.typical, found.low, found.high):
            self.assertAlmostEqual(value, -0.1, places=12)
        self.assertTrue(found.sure)

    def test_nan_and_unmeasured_steps_are_left_out(self):
        a, b = np.array([1.0, 2, 3, np.nan, 5]), np.array([2.0, np.nan, 3, 4, 99])
        found = paired_difference(a, b, [0, 0, 1, 1, -1])
        self.assertEqual((found.mean, found.blocks), (5 / 4 - 1, 2))

    def test_below_six_blocks_there_is_no_interval(self):
        a = np.random.default_rng(1).uniform(1, 2, 24)
        for blocks in range(1, 9):
            found = paired_difference(a, 0.5 * a, np.arange(24) * blocks // 24)
            self.assertEqual(found.blocks, blocks)
            self.assertAlmostEqual(found.mean, -0.5)
            self.assertEqual((found.low is None, found.high is None, found.sure),
                             (True, True, False) if blocks < 6 else (False, False, True))

    def test_a_disturbed_step_pulls_the_mean_and_not_the_typical_difference(self):
        a = np.random.default_rng(1).uniform(1, 2, 24)
        b = 0.9 * a
        b[5] *= 100
        found = paired_difference(a, b, np.arange(24))
        self.assertGreater(found.mean, 1)
        self.assertAlmostEqual(found.typical, -0.1)
        self.assertTrue(found.sure)

    def test_more_pairs_than_are_looked_at_are_pooled(self):
        random = np.random.default_rng(3)
        a = random.uniform(1, 2, 5000)
        found = paired_difference(a, a * np.exp(random.normal(-0.1, 0.1, 5000)), np.arange(5000))
        self.assertEqual(found.blocks, 5000)
        self.assertTrue(found.low < math.expm1(-0.1) < found.high, found)
        self.assertLess(found.high - found.low, 0.02)


class Summaries(unittest.TestCase):
    """That they equal the program's is tested by compare_test.py."""

    def test_from_as_many_steps_as_it_takes(self):
        random = np.random.default_rng(1)
        for steps, there in ((5, ()), (6, ("mean",)), (23, ("mean",)), (24, ("mean", 0.5)),
                             (200, ("mean", 0.5, 0.9)), (2000, ("mean", 0.5, 0.9, 0.99)),
                             (20000, ("mean", 0.5, 0.9, 0.99))):
            values, blocks = random.uniform(1, 2, steps), Blocks(np.arange(steps))
            found = {"mean": mean_interval(values, blocks, 1.5),
                     **{q: quantile_interval(values, blocks, q) for q in (0.5, 0.9, 0.99)}}
            self.assertEqual(tuple(of for of, one in found.items() if one), there, steps)
            for of, one in found.items():
                if one:
                    truth = 1.5 if of == "mean" else 1 + of
                    self.assertTrue(one.low <= truth <= one.high, (steps, of, one))

    def test_blocks_are_runs_of_the_same_number(self):
        blocks = Blocks(np.array([3, 3, 5, 5, 5, 9]))
        self.assertEqual(blocks.count, 3)
        self.assertEqual(list(blocks.means(np.arange(1.0, 7))), [1.5, 4, 6])
        self.assertEqual(Blocks(np.array([], dtype=np.int64)).count, 0)

    def test_nothing_of_what_is_not_known(self):
        blocks, values = Blocks(np.arange(40)), np.ones(40)
        unknown = np.where(np.arange(40) == 3, np.nan, values)
        self.assertIsNone(mean_interval(unknown, blocks, 1))
        self.assertIsNone(quantile_interval(unknown, blocks, 0.5))
        self.assertIsNone(ratio_interval(unknown, values, blocks, 1))
        self.assertIsNone(ratio_interval(0 * values, 0 * values, blocks, 1))

    def test_shares_stay_between_0_and_1(self):
        blocks = Blocks(np.arange(20))
        for share in (0.0, 1.0):
            found = proportion_interval(np.full(20, share), 8, blocks, 4)
            self.assertTrue(0 <= found.low <= share <= found.high <= 1, found)
            self.assertGreater(found.high - found.low, 0.1)


if __name__ == "__main__":
    main()
