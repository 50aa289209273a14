#!/usr/bin/python3
"""gembench-report as a command: what it writes and what it refuses."""

import json
import re
import sys

from analysis_support import TOP, ReportTest, main


class Report(ReportTest):
    def test_html_needs_nothing_else(self):
        self.made("run.h5", steps=64)
        self.written("run.h5")
        page = (self.folder / "run.html").read_text()
        self.assertNotRegex(page, r"(?i)(src|href)=['\"]?(?!data:)[a-z./]")
        self.assertNotRegex(page, r"(?i)url\(|@import|https?://")
        figures = re.findall(r"data-figure=(\w+)", page)
        self.assertEqual(figures, ["difference", "distribution", "why", "wait", "speeds",
                                   "prediction", "arrivals", "loads", "placement", "course",
                                   "bytes"])
        self.assertIn("gem is faster than linear", page)
        self.assertNotRegex(page, r">nan\b|NaN|\bnan ")

    def test_runs_that_lack_something_are_reported_too(self):
        for shape, absent in (({"whole_steps": True, "clock": "wall"}, "wait"),
                              ({"profile": False, "slowdown": False}, "speeds"),
                              ({"clock": "gpu-stamps", "slowdown": False}, "absent"),
                              ({"placements": 1, "ranks": 1}, "difference")):
            path = self.made(**shape)
            self.written(path, "-o", "page.html")
            page = (self.folder / "page.html").read_text()
            self.assertNotIn(f"data-figure={absent}>", page)
            self.assertIn("data-figure=distribution>", page)
            self.assertEqual("aligned within 4.8 us of" in page, shape.get("clock") == "gpu-stamps")
            self.assertNotRegex(page, r">nan\b|\bnan ")

    def test_without_an_interval_nothing_is_called_faster(self):
        # gem gains 20 % in each of them; what lacks is blocks, or a second rank.
        for shape, written, said in (
                ({"steps": 20, "block": 4}, {}, "measure with --steps 24 or --block 3"),
                ({"steps": 3, "block": 3}, {}, "measure with --steps 18"),
                ({"steps": 24, "block": 4}, {"measured_steps": 12}, "continue the run with --resume"),
                ({"ranks": 1}, {}, "one rank holds every expert under each placement")):
            path = self.made(written=written, **shape)
            for how in ("html", "md"):
                page = self.written(path, "--format", how, "-o", f"page.{how}")
                page = (self.folder / f"page.{how}").read_text() or page
                self.assertNotRegex(page, r"is faster than|95 % interval [-+\d]", path)
                self.assertIn(said, page)
                self.assertNotRegex(page, r">nan\b|\bnan ")
        files = [self.made(f"r{ranks}.h5", ranks=ranks, steps=8, block=4) for ranks in (2, 4)]
        self.written(*files, "-o", "all.html")
        page = (self.folder / "all.html").read_text()
        self.assertNotRegex(page, r"[-+][\d.]+ \.\. [-+][\d.]+", "no interval in any figure")
        self.assertIn("no interval", page)

    def test_partial_says_so(self):
        self.made("run.h5.partial", written={"measured_steps": 6})
        said = self.written("run.h5.partial", "--format", "md")
        self.assertIn("UNFINISHED RUN: measured so far, of 48 steps: linear 6", said)
        self.written("run.h5.partial")
        self.assertIn("UNFINISHED RUN", (self.folder / "run.html").read_text())

    def test_markdown(self):
        said = self.written(self.made(), "--format", "md")
        self.assertTrue(said.startswith("# gembench: made\n\n**gem is faster than linear"))
        for table in re.findall(r"(?m)(?:^\|.*\n)+", said):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
            self.assertEqual(len(widths), 1, table)

    def test_trace_has_every_phase_of_every_rank(self):
        for clock, phases in (("cpu-time", {"route", "experts", "wait"}),
                              ("wall", {"route", "dispatch", "experts", "wait", "combine"})):
            self.written(self.made(clock=clock), "--trace", "trace.json", "-o", "page.html")
            trace = json.loads((self.folder / "trace.json").read_text())
            events = [e for e in trace["traceEvents"] if e["ph"] == "X"]
            self.assertEqual({e["name"] for e in events}, phases)
            self.assertEqual({e["pid"] for e in events}, set(range(4)))
            ends = {}
            for event in events:  # on a track nothing overlaps
                track = (event["pid"], event["tid"])
                self.assertGreaterEqual(event["ts"], ends.get(track, 0) - 0.01)
                ends[track] = event["ts"] + event["dur"]

    def test_what_gpus_said_is_told(self):
        said = self.written(self.made(gpus=True, clock="wall"), "--format", "md")
        ranks = said.split("### Ranks")[1].split("###")[0]
        self.assertIn("clock_before (MHz)", ranks)
        self.assertEqual(ranks.count("| 1200 | 1200 | 300 | 60 |"), 4)

    def test_the_state_of_gpus_over_time(self):
        made = self.made(gpus=True, series=True, clock="wall")
        said = self.written(made, "--format", "md")
        self.assertIn("The devices were not known to be steady before the first step, after 2 s of soaking: "
                      "clock of rank 1 still changed.", said)
        self.assertIn("The clock of rank 2's GPU on node2 was held down in 20.0 % of ", said)
        self.assertEqual(said.count("was held down in"), 1)
        for rank in range(4):
            self.assertRegex(said, f"The clock of rank {rank}'s GPU on node{rank} differed between "
                             r"placements: 1900 MHz under linear, 1800 under \S+ \(-5\.3 %\)")
        self.assertNotIn("before the profile", said)
        page = self.folder / "page.html"
        self.written(made, "-o", "page.html", "--figures", "figures", "--placements", "gem")
        self.assertIn("A GPU&#x27;s mean clock differed by at most 5.6 % between placements; clocks were "
                      "held down on 1 of 4 GPUs.", page.read_text())
        drawn = (self.folder / "figures/gpus-rank-2.svg").read_text()
        for part in ("clock (MHz)", "power (W)", "temperature (degC)", "soak", "clock held down",
                     "s since the first measured step"):
            self.assertIn(part, drawn)
        # Without readings nothing is said of them.
        self.assertNotIn("mean clock", self.written(self.made(gpus=True, clock="wall"), "--format", "md"))

    def test_how_quiet_the_machine_was(self):
        noisy, uneven = "The machine was noisy", "Ranks were disturbed unequally"
        for clock in ("wall", "cpu-time"):
            quiet = self.written(self.made(clock=clock, lost=0.02), "--format", "md")
            self.assertRegex(quiet, r"Machine: 2\.0 % of (CPU )?time lost to .* \(longest pause "
                             r"3\.0 ms\), other programs used 3\.0 % of the CPUs, "
                             + (r"CPU pressure 25\.0 %, 0\.5 involuntary switches a step, "
                                if clock == "wall" else "")
                             + r"barrier exit skew 8 us \(p99 90 us\)\.")
            self.assertNotIn(noisy, quiet)
            self.assertNotIn(uneven, quiet)
            loud = self.written(self.made(clock=clock, lost=0.3), "--format", "md")
            self.assertIn(f"{noisy}: a rank lost 30.0 %", loud)
            self.assertIn(uneven, loud)
        partial = self.made("p.h5.partial", written={"measured_steps": 6}, lost=0.02)
        self.assertIn("Machine: 2.0 %", self.written(partial, "--format", "md"))
        self.assertNotIn("Machine:", self.written(self.made(), "--format", "md"))

    def test_shared_cores_are_a_warning(self):
        self.assertIn("Ranks share physical cores",
                      self.written(self.made(share="cores"), "--format", "md"))
        self.assertNotIn("physical cores", self.written(self.made(), "--format", "md"))

    def test_settings_of_the_machine_are_told_once_where_ranks_agree(self):
        import h5py
        path = self.made(ranks=2)
        with h5py.File(path, "a") as file:
            for name, values in (("governor", ["performance"] * 2), ("kernel", ["6.1", "6.2"]),
                                 ("turbo", ["", ""])):
                file[f"environment/{name}"] = values
                file[f"environment/{name}"].dims[0].attach_scale(file["rank"])
        said = self.written(path, "--format", "md")
        columns = said.split("### Ranks")[1].split("|---")[0]
        self.assertIn("kernel", columns)
        self.assertNotIn("governor", columns)
        self.assertNotIn("turbo", said)
        self.assertRegex(said, r"\| governor +\| performance")

    def test_several_runs(self):
        files = [self.made(f"r{ranks}.h5", ranks=ranks, clock="wall") for ranks in (2, 4, 8)]
        self.written(*files, "-o", "all.html")
        page = (self.folder / "all.html").read_text()
        self.assertIn("data-figure=scaling", page)
        self.assertEqual(page.count("<details class=run>"), 3)
        said = self.written(*files, "--format", "md")
        overview = said.split("### All runs")[1].split("###")[0]
        self.assertEqual(len(re.findall(r"(?m)^\| r\d\.h5 ", overview)), 9)

    def test_names_from_files_cannot_break_the_page(self):
        import h5py
        path = self.made()
        with h5py.File(path, "a") as file:
            file.attrs["model"] = "</script><script>alert(1)</script>: x"
            file["placement"][1] = "<b>'\"&"
        self.written(path, "-o", "page.html")
        page = (self.folder / "page.html").read_text()
        self.assertNotIn("<script>alert", page)
        self.assertNotIn("<b>'", page)

    def redirected(self, how, *words):
        """With what a shell does to its streams."""
        return self.call("bash", "-c", f'"$@" {how}', "bash", "env",
                         f"PYTHONPATH={TOP / 'analysis'}", sys.executable, "-m",
                         "gembench_analysis", *words)

    def test_streams_that_cannot_be_written(self):
        made = self.made()
        for how in (">/dev/full", ">&-"):
            self.refused(self.redirected(how, made, "--format", "md"), 4, "standard output ")
        done = self.redirected('| head -1; exit "${PIPESTATUS[0]}"', made, "--format", "md")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for how in ("2>/dev/full", "2>&-"):
            self.assertEqual(self.redirected(how, made, "-o", "page.html").returncode, 0)
            self.assertEqual(self.redirected(how, "none.h5").returncode, 2)

    def test_refusals(self):
        self.refused(self.report("none.h5"), 2, "no such file")
        other = self.made(written={"version": "3.0.0"})
        self.refused(self.report(other), 2, "schema version 3.0.0")
        empty = self.made(written={"measured_steps": 0})
        self.refused(self.report(empty), 2, "no step of it was finished")
        self.refused(self.report(self.made(), "-o", "absent/page.html"), 4,
                     "cannot be written (No such file or directory); choose another path with -o")
        self.refused(self.report(self.made(), "-o", "page.html", "--trace", "absent/trace.json"), 4,
                     "choose another path with --trace")
        self.assertEqual(self.report(self.made(), "--form", "md").returncode, 2)
        self.assertEqual(self.report().returncode, 2)


if __name__ == "__main__":
    main()
