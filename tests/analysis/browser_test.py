#!/usr/bin/python3
"""The report in a real browser: nothing in the console, every figure drawn, no page wider than its
window, on a phone and on a desk, light and dark. Skipped without Chromium and Selenium."""

import os
import shutil
import sys
import unittest

from analysis_support import ReportTest, main

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service
except ImportError as missing:
    print(f"skipped: {missing} (jobs/install.sh --tests installs it)")
    sys.exit(77)
DRIVER = shutil.which("chromedriver")
if DRIVER is None or shutil.which("chromium") is None:
    print("skipped: there is no chromium or chromedriver (jobs/install.sh --tests installs them)")
    sys.exit(77)

WIDTHS = {"phone": 390, "desk": 1280}
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
            "features": [{"name": "prefers-color-scheme", "value": scheme}]})
        self.browser.get(f"file://{page}")

    def looks_right(self, page):
        for name, width in WIDTHS.items():
            for scheme in ("light", "dark"):
                with self.subTest(width=name, scheme=scheme):
                    self.open(page, width, scheme)
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
                        "return document.documentElement.dataset.theme"), scheme)

    def test_one_run(self):
        path = self.made("run.h5", steps=48, layers=6, experts=32, clock="wall")
        self.written(path)
        self.looks_right(self.folder / "run.html")

    def test_a_large_run(self):
        path = self.made("run.h5", steps=24, layers=48, ranks=40, experts=160, block=2)
        self.written(path)
        self.looks_right(self.folder / "run.html")

    def test_several_runs(self):
        files = [self.made(f"r{ranks}.h5", ranks=ranks) for ranks in (2, 4)]
        self.written(*files, "-o", "all.html")
        self.open(self.folder / "all.html", 390)
        self.browser.execute_script(
            "document.querySelectorAll('details').forEach(one => { one.open = true; })")
        self.assertEqual(self.browser.execute_script(OUTSIDE), [])
        self.assertEqual(self.browser.get_log("browser"), [])

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

    @unittest.skipUnless(os.environ.get("GEMBENCH_PAGE"), "names no page to look at")
    def test_a_page_of_yours(self):
        self.looks_right(os.environ["GEMBENCH_PAGE"])


if __name__ == "__main__":
    main()
