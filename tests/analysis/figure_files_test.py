#!/usr/bin/python3
"""The report's figures as files: each is a document of its own and holds what its panel holds."""

import json
import re
import xml.etree.ElementTree as xml
from collections import Counter

from analysis_support import ReportTest, main
from gembench_analysis import figure_files, load, reduce, runs, sensitivity, summarise
from gembench_analysis.loading import FileError

SVG = "{http://www.w3.org/2000/svg}"


def loaded(*paths):
    found = []
    for path in paths:
        run = load(path)
        found.append(runs.Run(run, reduce(run), summarise(run)))
    return found


def panels(page):
    """(section, panel, SVG) of an HTML report."""
    for section, card in re.findall(r"<figure [^>]*data-figure=(\w+)>(.*?)</figure>", page, re.S):
        for name, drawing in re.findall(r"data-name='([^']*)'>.*?(<svg.*?</svg>)", card, re.S):
            yield section, name, xml.fromstring(drawing)


def shapes(root, where):
    """How often every shape is there, by tag and attributes; `where` with its coordinates."""
    found = Counter()
    for one in root.iter():
        tag = one.tag.removeprefix(SVG)
        if tag in ("rect", "path", "circle", "line") and "data-map" not in one.attrib:
            kept = one.attrib if where else {"class": one.get("class")}
            found[tag, *sorted((k, v) for k, v in kept.items() if k != "data-tip")] += 1
    return found


class FigureFiles(ReportTest):
    def test_every_panel_is_a_file_that_holds_it(self):
        self.made("run.h5", steps=24, clock="wall")
        self.written("run.h5", "--figures", "some/where")
        files = {path.name: xml.parse(path).getroot()
                 for path in (self.folder / "some/where").iterdir()}
        expected = set()
        for section, name, panel in panels((self.folder / "run.html").read_text()):
            words = re.sub(r" \(.*", "", name).replace(",", "").split()
            expected.add("-".join([section, *words]) + ".svg")
            file = files["-".join([section, *words]) + ".svg"]
            with self.subTest(section=section, panel=name):
                texts = [one.text for one in panel.iter("text")]
                kept = [one.text for one in file.iter(SVG + "text")]
                first = kept.index(texts[0])
                self.assertEqual(kept[first:first + len(texts)], texts)
                self.assertIn(name, " ".join(kept[:first]))
                self.assertIn("clock wall", " ".join(kept[first + len(texts):]))
                where = section != "arrivals"  # which is narrower than on the page
                there = shapes(file, where) - shapes(panel, where)
                self.assertEqual([dict(shape[1:])["class"] for shape in there], ["paper"])
                self.assertEqual(shapes(panel, where) - shapes(file, where), Counter())
                tips = [one.get("data-tip") for one in panel.iter() if one.get("data-tip")]
                self.assertEqual([one.text for one in file.findall(f"{SVG}*/{SVG}title")], tips)
        self.assertEqual(set(files), expected)
        self.assertLess({"difference.svg", "wait-gem.svg", "placement-eplb-layer-1.svg",
                         "arrivals-median-step-of-linear.svg"}, expected)

    def test_every_file_stands_alone(self):
        for name, text in figure_files.drawn(loaded(self.made(steps=24))).items():
            with self.subTest(file=name):
                root = xml.fromstring(text)
                self.assertEqual(root.tag, SVG + "svg")
                left, top, width, height = root.get("viewBox").split()
                self.assertEqual((root.get("width"), root.get("height")), (width, height))
                paper = next(root.iter(SVG + "rect"))
                self.assertEqual([paper.get(key) for key in ("x", "y", "width", "height")],
                                 [left, top, width, height])
                style = root.find(SVG + "style").text
                self.assertIn("@media screen and (prefers-color-scheme:dark){", style)
                self.assertNotIn("var(", style)
                self.assertNotRegex(text, r"href|url\(|@import|NaN|\bnan\b|data-")
                self.assertTrue(root.find(SVG + "title").text)
                self.assertTrue(root.find(SVG + "desc").text)
                self.assertLess(len(text), 60_000)

    def test_names_from_files_become_names_of_files(self):
        import h5py
        path = self.made(placements=4)
        with h5py.File(path, "a") as file:
            file["placement"][:] = ["../up", "Up", "g\x01<b>'\"&\ufffe", "\u914d\u7f6e/" * 90]
            file.attrs["device"] = "\x1b[1m<&>"
        drawn = figure_files.drawn(loaded(path))
        for name, text in drawn.items():
            self.assertRegex(name, r"^[a-z][a-z0-9+-]{0,120}\.svg$")
            xml.fromstring(text)
        self.assertEqual([name for name in drawn if name.startswith("wait")],
                         ["wait-up.svg", "wait-up-2.svg", "wait-g-b.svg", "wait.svg"])

    def test_several_runs(self):
        (self.folder / "other").mkdir()
        files = [self.made(name, ranks=ranks) for name, ranks in
                 (("run.h5", 2), ("other/run.h5.partial", 4))]
        names = list(figure_files.drawn(loaded(*files)))
        self.assertEqual(names[:2], ["scaling-ranks-speed-up.svg", "scaling-ranks-step-time.svg"])
        of = [[name.removeprefix(start) for name in names if name.startswith(start)]
              for start in ("run-2-", "run-")]
        self.assertIn("wait-gem.svg", of[0])
        self.assertEqual(len(of[1]), len([name for name in names if "scaling" not in name]))

    def test_some_placements(self):
        path = self.made(placements=4)
        self.written(path, "--figures", "figures", "--placements", "gem", "-o", "page.html")
        names = [path.name for path in (self.folder / "figures").iterdir()]
        self.assertEqual(sorted(name for name in names if name.startswith("wait")),
                         ["wait-gem.svg", "wait-linear.svg"])
        step = xml.parse(self.folder / "figures/arrivals-median-step-of-linear.svg")
        labels = [one.text for one in step.iter(SVG + "text") if one.get("class") == "name"]
        self.assertEqual(labels[1:], ["linear", "gem"])
        self.assertIn("data-name='eplb'", (self.folder / "page.html").read_text())

    def sensitivity(self, **changed):
        rows = [{"strategy": name, "alpha": alpha, "spread": spread, "step_mean": 1e-3,
                 "change": None if name == "linear" else -0.1 * alpha - spread,
                 "low": None if name == "linear" else -0.1 * alpha - spread - 0.01,
                 "high": None if name == "linear" else -0.1 * alpha - spread + 0.01, **changed}
                for name in ("linear", "gem", "<b>") for alpha in (0, 1) for spread in (0, 0.3)]
        return {"profile": "p <&>", "loads": "power-law", "ranks": 4, "draws": 3,
                "sensitivity": rows}

    def test_the_chart_of_a_sensitivity(self):
        path = self.folder / "s.json"
        path.write_text(json.dumps(self.sensitivity()))
        done = self.report(path)
        self.assertEqual(done.returncode, 0, done.stderr)
        text = (self.folder / "s.svg").read_text()
        root = xml.fromstring(text)
        self.assertEqual(len(list(root.iter(SVG + "circle"))), 2 * 2 * 2)
        self.assertIn("gem at alpha 1: -40.00 % (-41.00 .. -39.00)", text)
        self.assertEqual(root.find(SVG + "title").text,
                         "Most is gained at alpha 1 and 30 % spread of speeds: "
                         "gem -40.0 % step time")
        self.assertNotRegex(text, r"NaN|\bnan\b|data-")

    def test_what_is_no_sensitivity_is_refused(self):
        path = self.folder / "s.json"
        whole = self.sensitivity()
        for text in ("", "[]", "{", "[" * 100000, json.dumps({**whole, "sensitivity": [1]}),
                     json.dumps(self.sensitivity(alpha=None)),
                     json.dumps(self.sensitivity(change="x")),
                     json.dumps(self.sensitivity(low=1e300)),
                     json.dumps(self.sensitivity(spread=True)).replace("true", "NaN")):
            path.write_text(text)
            with self.assertRaisesRegex(FileError, "make it again"):
                sensitivity.chart(str(path))
        path.write_text(json.dumps(self.sensitivity(change=None)))
        with self.assertRaisesRegex(FileError, "two strategies"):
            sensitivity.chart(str(path))
        self.refused(self.report(self.folder / "none.json"), 2, "check the name")

    def test_refusals(self):
        path = self.made()
        for names in ("gems", "linear,", ""):
            self.refused(self.report(path, "--figures", "figures", "--placements", names), 2,
                         "choose from linear, eplb, gem")
        done = self.report(path, "--placements", "gem")
        self.assertEqual(done.returncode, 2)
        self.assertIn("add --figures DIR", done.stderr)
        for folder in (path.name, f"{path.name}/figures"):
            self.refused(self.report(path, "--figures", folder, "-o", "page.html"), 4,
                         "choose another folder with --figures")


if __name__ == "__main__":
    main()
