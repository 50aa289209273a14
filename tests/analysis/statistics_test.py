#!/usr/bin/python3
"""Random numbers, quantiles and intervals."""

import math
import unittest

from analysis_support import main
import numpy as np

from gembench_analysis.counter_random import Random, mix64
from gembench_analysis.statistics import (paired_difference, quantile, student_cdf,
                                          student_quantile)


class Generator(unittest.TestCase):
    def test_mix64_is_splitmix64(self):
        # Published outputs of SplitMix64 seeded with 1234567: mix64 of its successive states.
        gamma, states = 0x9E3779B97F4A7C15, []
        for k in range(5):
            states.append((1234567 + k * gamma) % 2**64)
        self.assertEqual(mix64(np.array(states, dtype=np.uint64)).tolist(),
                         [6457827717110365317, 3203168211198807973, 9817491932198370423,
                          4593380528125082431, 16408922859458223821])

    def test_below_is_the_upper_half_of_the_product(self):
        words, draws = Random(7).next(1000), Random(7).below(12345, 1000)
        self.assertEqual(draws.tolist(), [(int(w) * 12345) >> 64 for w in words])

    def test_draws_do_not_depend_on_how_many_are_taken_at_once(self):
        one, two = Random(3), Random(3)
        self.assertEqual(one.next(10).tolist(), two.next(4).tolist() + two.next(6).tolist())


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


class Bootstrap(unittest.TestCase):
    def test_no_difference_where_there_is_none(self):
        a = np.random.default_rng(1).uniform(1, 2, 64)
        found = paired_difference(a, a, np.arange(64) // 8)
        self.assertEqual((found.mean, found.low, found.high, found.blocks), (0, 0, 0, 8))
        self.assertFalse(found.sure)

    def test_constant_ratio_has_no_width(self):
        a = np.random.default_rng(1).uniform(1, 2, 64)
        found = paired_difference(a, 0.9 * a, np.arange(64) // 8)
        for value in (found.mean, found.low, found.high):
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

    def test_intervals_hold_the_truth_in_about_95_of_100_cases(self):
        random, held = np.random.default_rng(2), 0
        for _ in range(100):
            block = np.repeat(np.arange(10), 4)
            common = random.normal(1, 0.1, 10)[block]
            a, b = (common * random.normal(1, 0.05, 40) * random.normal(1, 0.03, 10)[block]
                    for _ in range(2))
            found = paired_difference(a, 0.9 * b, block)
            held += found.low <= -0.1 <= found.high
        self.assertGreaterEqual(held, 88)
        self.assertLessEqual(held, 100)


if __name__ == "__main__":
    main()
