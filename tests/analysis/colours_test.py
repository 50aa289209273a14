#!/usr/bin/python3
"""Contrast of the report's colours, by the formula of WCAG 2: light, dark and print."""

import re
import unittest

from analysis_support import main
from gembench_analysis import style

TEXT, GRAPHIC = 4.5, 3.0  # WCAG 2.1, success criteria 1.4.3 and 1.4.11


def colours(css):
    """Name -> (r, g, b) of the custom properties."""
    found = {}
    for name, digits in re.findall(r"--([\w-]+):#([0-9a-f]{3,6})\b", css):
        wide = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
        found[name] = tuple(int(wide[k:k + 2], 16) for k in (0, 2, 4))
    return found


def luminance(colour):
    parts = [part / 255 for part in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
              for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def schemes():
    light = colours(style.asset("light.css"))
    printed = re.search(r"@media print\{:root\{([^}]*)\}", style.asset("report.css"))[1]
    return {"light": light, "dark": {**light, **colours(style.asset("dark.css"))},
            "print": {**light, **colours(printed)}}


class Colours(unittest.TestCase):
    def least(self, pairs, least):
        for scheme, named in schemes().items():
            for front, back in pairs:
                with self.subTest(scheme=scheme, front=front, back=back):
                    self.assertGreaterEqual(contrast(named[front], named[back]), least)

    def test_the_formula_is_that_of_wcag(self):
        self.assertAlmostEqual(contrast((0, 0, 0), (255, 255, 255)), 21)
        self.assertAlmostEqual(contrast((0x77,) * 3, (255,) * 3), 4.48, places=2)

    def test_dark_defines_every_colour_of_light(self):
        light, dark = (colours(style.asset(f"{name}.css")) for name in ("light", "dark"))
        self.assertEqual(set(light), set(dark))

    def test_waiting_is_strong_and_its_hatch_can_be_seen(self):
        self.least([("waiting", "card"), ("waiting", "bg"), ("hatch", "waiting")], GRAPHIC)

    def test_edges_of_the_answer_and_marks(self):
        self.least([(f"{kind}-edge", back) for kind in ("good", "warn", "open")
                    for back in (kind, "bg")] + [("mark", "card")], GRAPHIC)

    def test_texts(self):
        self.least([("fg", back) for back in ("bg", "card", "good", "warn", "open")]
                   + [("soft", back) for back in ("bg", "card")], TEXT)

    def test_numbers_in_heat_maps(self):
        self.least([("on-low", f"q{k}") for k in range(4)]
                   + [("on-high", f"q{k}") for k in range(4, 8)], TEXT)


if __name__ == "__main__":
    main()
