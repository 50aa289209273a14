#!/usr/bin/python3
"""The report in a real browser: nothing in the console, every figure drawn, no page wider than its
window, on a phone and on a desk, light, dark and printed; tips by mouse, keyboard and touch; tables
as CSV. Skipped without Chromium and Selenium."""

import csv
import io
import os
import re
import shutil
import sys
import unittest

from analysis_support import HANGS, ReportTest, loaded, main
from gembench_analysis import tables

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait
except ImportError as missing:
    print(f"skipped: {missing} (jobs/install.sh --tests installs it)")
    sys.exit(77)
DRIVER = shutil.which("chromedriver")
if DRIVER is None or shutil.which("chromium") is None:
    print("skipped: there is no chromium or chromedriver (jobs/install.sh --tests installs them)")
    sys.exit(77)

WIDTHS = {"phone": 420, "desk": 1300}
# Of every visible figure: its name, and whether it has marks (not only text) with an area.
DRAWN = """return [...document.querySelectorAll('figure')].map(figure => {
  const seen = [...figure.querySelectorAll('svg')].filter(svg => svg.getClientRects().length);
  const marks = seen.flatMap(svg => [...svg.querySelectorAll('rect,circle,path')]);
  const large = marks.filter(mark => { const box = mark.getBoundingClientRect();
    return box.width >= 1 && box.height >= 1 && getComputedStyle(mark).display !== 'none'; });
  return [figure.dataset.figure, seen.length, large.length];
})"""
# Elements that stick out of the window and are not inside something that scrolls.
OUTSIDE = """return [...document.querySelectorAll('body *')].filter(one => {
  const box = one.getBoundingClientRect();
  return box.width && box.right > innerWidth + 1 && !one.closest('.scroll, .card.wide .panel');
}).map(one => one.tagName + '.' + one.getAttribute('class'))"""
# Tables outside of folded parts that must be scrolled sideways.
TOO_WIDE = """return [...document.querySelectorAll('.table .scroll')].filter(
  one => one.scrollWidth > one.clientWidth + 1).map(one => one.getAttribute('aria-label'))"""

# Of an SVG file: is it one, the colour of its paper, shapes that can be seen, those that no rule
# coloured (black is in no style sheet) or that lie outside, words over other words.
ALONE = """const root = document.documentElement, whole = root.getBoundingClientRect();
const shapes = [...root.querySelectorAll('rect,circle,path,line,text')];
const colour = shape => getComputedStyle(shape)[shape.tagName === 'line' ? 'stroke' : 'fill'];
const bare = shapes.filter(shape => ['rgb(0, 0, 0)', 'none'].includes(colour(shape)) &&
  !shape.matches('.curve,.empty,.hatch,.burst,.through'));
const outside = shapes.filter(shape => { const box = shape.getBoundingClientRect();
  return box.left < whole.left - 1 || box.right > whole.right + 1 || box.top < whole.top - 1 ||
    box.bottom > whole.bottom + 1; });
const words = shapes.filter(shape => shape.tagName === 'text');
const boxes = words.map(word => word.getBoundingClientRect());
const over = words.filter((word, k) => boxes.some((box, other) => other < k &&
  box.left < boxes[k].right - 1 && box.right > boxes[k].left + 1 &&
  box.top < boxes[k].bottom - 4 && box.bottom > boxes[k].top + 4));
return [root.tagName, colour(root.querySelector('.paper')),
        shapes.filter(shape => shape.getBoundingClientRect().width >= 1).length,
        bare.map(shape => shape.outerHTML), outside.map(shape => shape.outerHTML),
        over.map(word => word.textContent)]"""


class Browser(ReportTest):
    def setUp(self):
        super().setUp()
        options = Options()
        for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                     "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND",
                     f"--user-data-dir={self.folder / 'profile'}"):
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.browser = webdriver.Chrome(service=Service(DRIVER), options=options)
        self.addCleanup(self.browser.quit)

    def open(self, page, width, scheme="light"):
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600})
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "media": "print" if scheme == "print" else "screen",
            "features": [{"name": "prefers-color-scheme",
                          "value": "light" if scheme == "print" else scheme}]})
        self.browser.get(f"file://{page}")

    def looks_right(self, page):
        for name, width in WIDTHS.items():
            for scheme in ("light", "dark", "print"):
                with self.subTest(width=name, scheme=scheme):
                    self.open(page, width, scheme)
                    self.browser.execute_script("document.querySelectorAll('details')"
                                                ".forEach(one => { one.open = true; })")
                    self.assertEqual(self.browser.get_log("browser"), [])
                    figures = self.browser.execute_script(DRAWN)
                    self.assertGreater(len(figures), 0)
                    for figure, seen, marks in figures:
                        self.assertEqual(seen, 1, figure)
                        self.assertGreater(marks, 2, figure)
                    self.assertEqual(self.browser.execute_script(OUTSIDE), [])
                    self.assertLessEqual(self.browser.execute_script(
                        "return document.documentElement.scrollWidth"), width)
                    self.assertEqual(self.browser.execute_script(
                        "return document.documentElement.dataset.theme"),
                        "light" if scheme == "print" else scheme)
                    if width > 1000:
                        self.assertEqual(self.browser.execute_script(TOO_WIDE), [])

    def test_one_run(self):
        path = self.made("run.h5", steps=48, layers=6, experts=32, clock="wall")
        self.written(path)
        self.looks_right(self.folder / "run.html")

    def test_a_large_run(self):
        path = self.made("run.h5", steps=24, layers=48, ranks=40, experts=160, block=2)
        self.written(path)
        self.looks_right(self.folder / "run.html")

    def test_several_runs(self):
        files = [self.made(f"r{ranks}.h5", ranks=ranks) for ranks in (4, 8)]
        self.written(*files, "-o", "all.html")
        self.looks_right(self.folder / "all.html")

    def test_figures_as_files(self):
        path = self.made("run.h5", clock="wall", layers=48, ranks=18)
        self.written(path, "--figures", "figures")
        files = sorted((self.folder / "figures").iterdir())
        self.assertGreater(len(files), 12)
        papers = {}
        for scheme in ("light", "dark"):
            for file in files:
                with self.subTest(file=file.name, scheme=scheme):
                    self.open(file, 1280, scheme)
                    tag, paper, seen, bare, outside, over = self.browser.execute_script(ALONE)
                    self.assertEqual((tag, bare, outside, over), ("svg", [], [], []))
                    self.assertGreater(seen, 4)
                    papers.setdefault(scheme, set()).add(paper)
        self.assertEqual([len(found) for found in papers.values()], [1, 1])
        self.assertNotEqual(papers["light"], papers["dark"])

    def test_print_is_light_whatever_the_screen_is(self):
        path = self.made("run.h5")
        self.written(path)
        self.open(self.folder / "run.html", 760, "dark")
        colour = "return getComputedStyle(document.body).backgroundColor"
        self.assertNotEqual(self.browser.execute_script(colour), "rgb(255, 255, 255)")
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        self.assertEqual(self.browser.execute_script(colour), "rgb(255, 255, 255)")
        self.assertEqual(self.browser.execute_script(OUTSIDE), [])

    def test_what_can_be_pressed(self):
        path = self.made("run.h5")
        self.written(path)
        self.open(self.folder / "run.html", 1280)
        shown = "return [...document.querySelectorAll('[data-figure=wait] .panel')]" \
                ".filter(one => !one.hidden).map(one => one.dataset.name)"
        self.assertEqual(self.browser.execute_script(shown), ["linear"])
        buttons = self.browser.find_elements("css selector", "[data-figure=wait] .choice button")
        self.browser.execute_script("arguments[0].click()", buttons[1])
        self.assertEqual(self.browser.execute_script(shown), [buttons[1].text])
        self.browser.find_element("css selector", "#theme").click()
        self.assertEqual(self.browser.execute_script(
            "return document.documentElement.dataset.theme"), "dark")
        said = self.browser.execute_script("""
            const map = document.querySelector(
              '[data-figure=wait] .panel:not([hidden]) [data-map]');
            map.scrollIntoView({block: 'center'});
            const box = map.getBoundingClientRect();
            map.dispatchEvent(new PointerEvent('pointermove', {bubbles: true,
              clientX: box.left + 3, clientY: box.top + 3}));
            return document.getElementById('tip').textContent""")
        self.assertRegex(said, r"^rank 0, layer 0: [\d.]+ \w+$")

    TIP = "const tip = document.getElementById('tip'); return tip.hidden ? '' : tip.textContent"

    def figure(self, name):
        return self.browser.find_element(
            "css selector", f"[data-figure={name}] .panel:not([hidden]) svg")

    def test_tips_by_keyboard(self):
        path = self.made("run.h5")
        self.written(path)
        self.open(self.folder / "run.html", 1300)
        body = self.browser.find_element("css selector", "body")
        expected = self.browser.execute_script(
            "return [...document.querySelectorAll('figure svg')].filter(svg => "
            "svg.getClientRects().length && svg.querySelector('[data-tip],[data-map]'))"
            ".map(svg => svg.closest('figure').dataset.figure)")
        reached = []
        for _ in range(400):  # one stop for each, in the order of the page
            if len(reached) == len(expected):
                break
            body.send_keys(Keys.TAB)
            key = self.browser.execute_script(
                "const one = document.activeElement;"
                "return one.tagName === 'svg' ? one.closest('figure').dataset.figure : ''")
            body = self.browser.switch_to.active_element
            if key:
                reached.append(key)
                self.assertTrue(self.browser.execute_script(self.TIP), key)
        self.assertEqual(reached, expected)
        self.assertLess({"difference", "why", "wait", "arrivals", "placement"}, set(reached))

        def press(svg, *keys):
            said = []
            for key in keys:
                svg.send_keys(key)
                said.append(self.browser.execute_script(self.TIP))
            return said

        wait = self.figure("wait")  # a map: 4 ranks, 2 layers
        first = press(wait, Keys.HOME, Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_DOWN,
                      Keys.END, Keys.ARROW_DOWN)
        self.assertEqual([one.split(":")[0] for one in first], [
            "rank 0, layer 0", "rank 0, layer 1", "rank 1, layer 1", "rank 2, layer 1",
            "rank 3, layer 1", "rank 3, layer 1"])
        differences = press(self.figure("difference"), Keys.HOME, Keys.END, Keys.ESCAPE)
        self.assertTrue(differences[0].startswith("eplb: "), differences)
        self.assertTrue(differences[1].startswith("gem: "), differences)
        self.assertEqual(differences[2], "", "Escape closes the tip")
        why = self.figure("why")  # on this clock no part is communication
        said = press(why, Keys.HOME, *[Keys.ARROW_RIGHT] * 40)
        self.assertIn("gem, rank 3: ", said[-1])
        self.assertFalse([one for one in said if one.endswith("by communication")])

    def test_tips_by_touch(self):
        path = self.made("run.h5")
        self.written(path)
        self.open(self.folder / "run.html", 420)
        self.browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
        place = self.browser.execute_script("""
            const mark = document.querySelector('[data-figure=difference] [data-tip]');
            mark.scrollIntoView({block: 'center'});
            const box = mark.getBoundingClientRect();
            return [box.left + box.width / 2, box.top + box.height / 2]""")
        point = {"x": place[0], "y": place[1]}
        self.browser.execute_cdp_cmd("Input.dispatchTouchEvent",
                                     {"type": "touchStart", "touchPoints": [point]})
        self.browser.execute_cdp_cmd("Input.dispatchTouchEvent",
                                     {"type": "touchEnd", "touchPoints": []})
        self.assertTrue(self.browser.execute_script(self.TIP).startswith("eplb: "))

    def test_the_copied_csv_is_the_table(self):
        import h5py
        path = self.made("run.h5", placements=2)
        with h5py.File(path, "a") as file:
            file["placement"][1] = 'a,"b"'
        self.written(path)
        self.open(self.folder / "run.html", 1300)
        button = self.browser.find_element("xpath", "//button[contains(@aria-label, 'Comparison')]")
        for how in ("clipboard", "the older way"):
            with self.subTest(how=how):
                if how == "clipboard":
                    self.browser.execute_script(
                        "Object.defineProperty(navigator, 'clipboard', {configurable: true, value: "
                        "{writeText: async (said) => { window.copied = said; }}})")
                else:
                    self.browser.execute_script(
                        "window.copied = undefined; Object.defineProperty(navigator, 'clipboard',"
                        "{configurable: true, value: undefined});"
                        "document.execCommand = () => { window.copied = "
                        "document.activeElement.value; return true; }")
                self.browser.execute_script("arguments[0].click()", button)
                WebDriverWait(self.browser, HANGS).until(
                    lambda browser: browser.execute_script("return window.copied"))
                rows = list(csv.reader(io.StringIO(
                    self.browser.execute_script("return window.copied"), newline="")))
                self.assertEqual(rows, [["" if cell == "-" else cell for cell in row]
                                        for row in self.comparison(path)])

    def comparison(self, path):
        found = tables.comparison(loaded(path).rows)
        return [list(found.columns), *found.rows]

    def test_boxes_have_the_colour_of_the_outcome(self):
        seen = {}
        for name, shape in (("faster", {}), ("open", {"steps": 8, "block": 4}),
                            ("slower", {"gain": -20})):
            self.written(self.made(f"{name}.h5", **shape))
            for scheme in ("light", "dark", "print"):
                self.open(self.folder / f"{name}.html", 1300, scheme)
                seen[name, scheme] = self.browser.execute_script(
                    "return getComputedStyle(document.querySelector('.answer')).backgroundColor")
        for scheme in ("light", "dark", "print"):
            red, green, blue = zip(*(map(int, re.findall(r"\d+", seen[name, scheme])[:3])
                                     for name in ("faster", "open", "slower")))
            self.assertGreater(green[0], max(red[0], blue[0]), "green")
            self.assertLess(max(red[1], green[1], blue[1]) - min(red[1], green[1], blue[1]), 16, "grey")
            self.assertGreater(red[2] - blue[2], 20, "amber")

    @unittest.skipUnless(os.environ.get("GEMBENCH_PAGE"), "names no page to look at")
    def test_a_page_of_yours(self):
        self.looks_right(os.environ["GEMBENCH_PAGE"])


if __name__ == "__main__":
    main()
