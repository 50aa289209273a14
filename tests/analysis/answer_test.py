#!/usr/bin/python3
"""What the report concludes: the outcome and its colour, one sign, messages, tables behind figures,
marks, what to do next; HTML and Markdown say the same."""

import html
import json
import re
import shlex

import h5py
import numpy as np

from analysis_support import ReportTest, loaded, main
from gembench_analysis import figures
from gembench_analysis.experts import layer_loads
from gembench_analysis.loading import load
from gembench_analysis.next_steps import OUTPUT, _again
from gembench_analysis.verdict import verdict


def changed(path, **attributes):
    """The file with attributes of its groups changed: check__passed=0 is /check's `passed`."""
    with h5py.File(path, "a") as file:
        for name, value in attributes.items():
            group, _, key = name.rpartition("__")
            (file[group] if group else file).attrs[key] = value
    return path


class Answer(ReportTest):
    def kinds(self):
        """Outcome -> a file that has it."""
        return {
            "faster": self.made("faster.h5"),
            "not conclusive": self.made("open.h5", steps=8, block=4),
            "slower": self.made("slower.h5", gain=-20),
            "unfinished": self.made("run.h5.partial", written={"measured_steps": 30}),
            "not trustworthy": changed(self.made("wrong.h5"), check__passed=0,
                                       check__message="made"),
        }

    def test_only_faster_is_green_and_only_not_conclusive_is_grey(self):
        box = {"faster": "faster", "not conclusive": "open", "slower": "slower",
               "unfinished": "unfinished", "not trustworthy": "untrusted"}
        page = ""
        for outcome, path in self.kinds().items():
            with self.subTest(outcome=outcome):
                page = self.page(path)
                self.assertEqual(re.findall(r"<section class='answer (\w+)'>", page), [box[outcome]])
                self.assertIn(f"<p class=outcome>{outcome}</p>", page)
                self.assertIn(f"Outcome: {outcome}\n", self.written(path, "--format", "md"))
        background = dict(re.findall(r"\.answer(\.?\w*)(?:,[^{]*)?\{background:var\(--(\w+)\)", page))
        self.assertEqual(background, {"": "open", ".faster": "good", ".slower": "warn"})
        self.assertIn(".answer.slower,.answer.unfinished,.answer.untrusted{", page)

    def test_planning_on_the_measured_steps_is_not_trustworthy(self):
        config = json.dumps({"command": "run", "non-moe-time": 0.0, "in-sample": True})
        path = changed(self.made(), config=config)
        one = loaded(path)
        self.assertEqual(verdict(one.run, one.reduced, one.rows).outcome, "not trustworthy")

    def test_negative_is_faster_in_every_text_table_and_figure(self):
        path = self.made()
        one, page = loaded(path), self.page(path)
        typical = one.rows[2].difference.typical
        self.assertLess(typical, -0.05)
        self.assertIn(f"gem is faster than linear: step time {100 * typical:+.1f} % (95 % interval -",
                      page)
        for said in (f"<td>{100 * typical:+.2f}</td>", f"gem: {100 * typical:+.2f} %, 95 %",
                     f"gem {100 * typical:+.1f} %;"):
            self.assertIn(said, page)
        shown = f"{-100 * typical:.1f} %"
        self.assertNotRegex(page, rf"(?<![-\d]){re.escape(shown)}(?! of)", "with the other sign")
        self.assertNotRegex(html.unescape(page), r"% (less|more) time|% saved")
        slower = loaded(self.made(gain=-20))
        self.assertRegex(verdict(slower.run, slower.reduced, slower.rows).sentence,
                         r"slower than linear: .* step time \+\d.*95 % interval \+")

    def test_headings_are_in_order(self):
        files = [self.made(f"r{ranks}.h5", ranks=ranks) for ranks in (2, 4)]
        for page in (self.page(files[0]), self.page(*files)):
            levels = [int(level) for level in re.findall(r"<h(\d)>", page)]
            self.assertEqual(levels[0], 1)
            self.assertEqual((levels.count(1), set(levels)), (1, {1, 2, 3}))
            for before, after in zip(levels, levels[1:]):
                self.assertLessEqual(after, before + 1)

    def test_every_figure_has_a_message_and_its_numbers(self):
        for shape in ({"clock": "wall"}, {"whole_steps": True, "clock": "wall"},
                      {"placements": 1, "ranks": 1}, {"profile": False, "slowdown": False}):
            page = self.page(self.made(**shape))
            figures_of = re.findall(r"<figure .*?</figure>", page, re.S)
            self.assertGreater(len(figures_of), 3)
            for figure in figures_of:
                key = re.search(r"data-figure=([\w-]+)", figure)[1]
                with self.subTest(shape=shape, figure=key):
                    label = re.search(r"<figure [^>]*aria-label='([^']*)'", figure)[1]
                    self.assertRegex(label, r"\w.*\.$")
                    self.assertIn(f"<p class=message>{label}</p>", figure)
                    self.assertRegex(figure, r"<details class=behind><summary>Numbers</summary>"
                                             r".*<tbody><tr>.*</table>")
                    self.assertNotRegex(figure, r"\bnan\b|\binf\b")

    def test_the_numbers_behind_a_figure_are_those_of_the_file(self):
        path = self.made(clock="wall", layers=3)
        page, one = self.page(path), loaded(path)
        card = re.search(r"data-figure=wait>.*?</figure>", page, re.S)[0]
        rows = re.findall(r"<tr><th scope=row>(.*?)</th><td>(\d+)</td><td>(\d+)</td><td>(.*?)</td>",
                          card)
        self.assertEqual(len(rows), 3 * 4 * 3)
        for label, rank, layer, wait in rows:
            value = one.reduced["barrier_wait"].sel(placement=label).transpose("rank", "layer")
            self.assertEqual(wait, f"{1e6 * float(value.values[int(rank), int(layer)]):.1f}")

    def test_every_table_can_be_copied(self):
        page = self.page(self.made())
        self.assertEqual(page.count("<table "), page.count("class=csv "))

    def test_a_profile_that_falls_is_marked(self):
        path = self.made()
        self.assertNotIn('class="fall"', self.page(path))
        with h5py.File(path, "a") as file:
            file["profile_latency"][2, 2] = 0.9 * file["profile_latency"][2, 1]
        found = figures.falls(load(path))
        self.assertEqual([(one.rank, one.point) for one in found], [(2, 2)])
        page = self.page(path)
        self.assertEqual(page.count('class="fall"'), 1)
        self.assertIn("rank 2: latency falls by 10.0 % from 100 to 200 assignments", page)
        self.assertIn("Latency falls while load grows on 1 rank (triangles).", page)
        self.assertNotIn("By the single readings", page)
        with h5py.File(path, "a") as file:  # within the noise of the two points
            file["profile_spread"][2, 1:] = 0.2 * file["profile_latency"][2, 1]
            file.attrs["profile_dents"] = "latency falls by 9.9 % from 100 to 200 tokens on rank 2, beyond noise"
        page = self.page(path)
        self.assertNotIn('class="fall"', page)
        self.assertIn("does not hold: latency falls by 9.9 % from 100 to 200 tokens on rank 2, beyond noise.", page)

    def test_bursts_are_ringed(self):
        path = self.made(steps=36)
        layer = layer_loads(load(path), 0)
        self.assertEqual(np.flatnonzero(layer.bursts.any(axis=1)).tolist(), [1])
        self.assertEqual(np.flatnonzero(layer.bursts[1]).tolist(), list(range(0, 36, 6)))
        page = self.page(path)
        self.assertEqual(page.count('class="burst"'), 2 * 6)  # two layers
        self.assertIn("12 windows with a burst are ringed", page)

    def test_waiting_is_hatched_in_the_figure_and_in_its_legend(self):
        page = self.page(self.made(clock="wall"))
        arrivals = re.search(r"data-figure=arrivals>.*?</figure>", page, re.S)[0]
        self.assertEqual(len(re.findall(r'phase-barrier_wait"/><path d="M[^"]+" class="hatch"/>',
                                        arrivals)), 2 * arrivals.count("<svg "))

    def commands(self, page):
        return [html.unescape(line) for block in re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.S)
                for line in block.splitlines()]

    def test_what_to_do_next_can_be_pasted(self):
        path = self.made("my run.h5")
        page = self.page("my run.h5")
        commands = [shlex.split(line) for line in self.commands(page)]
        report, convert = commands[:2]
        self.assertEqual(report, ["gembench-report", "my run.h5", "--export", "gem"])
        self.written(*report[1:])
        self.good(*convert[1:])
        with h5py.File(path) as file:
            held = file["slots"][2]
        sglang = json.loads((self.folder / "my run-gem-sglang.json").read_text())
        self.assertEqual(sglang["physical_to_logical_map"], held.reshape(len(held), -1).tolist())
        said = self.written("my run.h5", "--format", "md")
        for line in self.commands(page):
            self.assertIn(line, said)

    def test_what_to_do_next_follows_from_the_outcome(self):
        run = "gembench run --steps 8 --placements linear,gem --seed=3 --overwrite -o old.h5"
        expected = {
            "faster": ["--seed 2 --output faster-seed2.h5", "gembench compare faster.h5"],
            "not conclusive": ["gembench run --placements linear,gem --seed=3 --precision 1 "
                               "--max-seconds 600 --output open-longer.h5"],
            "slower": ["--placements linear,gem+ --output slower-searched.h5"],
            "unfinished": ["gembench run --steps 8 --placements linear,gem --seed=3 -o old.h5 --resume"],
            "not trustworthy": []}
        self.kinds()
        for outcome, name in zip(expected, ("faster.h5", "open.h5", "slower.h5", "run.h5.partial",
                                            "wrong.h5")):
            with self.subTest(outcome=outcome):
                changed(self.folder / name, command_line=run)
                found = "\n".join(self.commands(self.page(name)))
                for said in expected[outcome]:
                    self.assertIn(said, found)
                self.assertEqual("--export" in found, outcome == "faster")
                self.assertEqual(bool(found), bool(expected[outcome]))

    def test_a_command_is_said_again_without_options_however_they_were_typed(self):
        run = load(self.made())
        self.assertEqual(self.again(run, "none"), [])
        for typed in ("-o 'my run.h5'", "-o'my run.h5'", "'-omy run.h5'", "--output 'my run.h5'",
                      "'--output=my run.h5'", "--overwrite -oa.h5", "-o a.h5 -o b.h5"):
            for line in (f"gembench run -q {typed} --seed 3", f"gembench run -q --seed 3 {typed}"):
                self.assertEqual(self.again(run, line), ["gembench run -q --seed 3 --output b.h5"], line)
        for typed in ("--placements linear,gem", "--placements linear, gem", "--placements=linear, gem",
                      "--placements linear ,gem", "--placements linear, --precision 2 %"):
            self.assertEqual(self.again(run, f"gembench run {typed} -q", "--placements", "--precision"),
                             ["gembench run -q --output b.h5"], typed)
        self.assertEqual(self.again(run, "gembench run --trace 'my loads.h5' --precision 2 %"),
                         ["gembench run --trace 'my loads.h5' --precision 2 % --output b.h5"])
        run["environment_anonymous"] = ("rank", ["yes"] * run.sizes["rank"])
        self.assertEqual(self.again(run, "gembench run -q"), [], "its paths are not the real ones")

    def again(self, run, line, *without):
        run.attrs["command_line"] = line
        return _again(run, (*OUTPUT, *without), "--output", "b.h5")

    def test_a_placement_that_is_not_there_cannot_be_exported(self):
        self.refused(self.report(self.made(), "--export", "none"), 2, "--export: there is no 'none'")


if __name__ == "__main__":
    main()
