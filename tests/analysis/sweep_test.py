#!/usr/bin/python3
"""Several runs: sorted by what was swept, one sentence, every caveat once; HTML and Markdown alike."""

import html
import re

from analysis_support import ReportTest, loaded, main
from gembench_analysis import overall
from gembench_analysis.sweep import in_order


class Sweep(ReportTest):
    def test_a_sweep_is_sorted_by_what_was_swept(self):
        files = [self.made(f"r{ranks}.h5", ranks=ranks) for ranks in (8, 2, 4)]
        self.assertEqual([one.run.sizes["rank"] for one in in_order([loaded(one) for one in files])],
                         [2, 4, 8])
        page = self.page(*files)
        rows = re.search(r"<h2>All runs</h2>.*?</table>", page, re.S)[0]
        self.assertEqual(list(dict.fromkeys(re.findall(r"r\d\.h5", rows))),
                         ["r2.h5", "r4.h5", "r8.h5"])
        self.assertEqual(re.findall(r"<summary><h2>.*?(r\d\.h5)</h2>", page),
                         ["r2.h5", "r4.h5", "r8.h5"])
        said = self.written(*files, "--format", "md")
        self.assertEqual(re.findall(r"(?m)^## .*(r\d\.h5)$", said), ["r2.h5", "r4.h5", "r8.h5"])
        self.assertIn("data-name='speed-up'", page)
        card = re.search(r"data-figure=scaling-ranks>.*?</figure>", page, re.S)[0]
        gem = loaded(files[1]).rows[2].difference.typical
        self.assertIn(f"<td>{1 / (1 + gem):.3f}</td><td>{100 * gem:+.2f}</td>", card)
        self.assertEqual(card.count('through"'), 2 + 2 + 3)  # gains of two, throughput of three

    def test_one_sentence_and_every_caveat_once(self):
        files = [self.made(f"n{k}.h5", clock="wall", lost=0.1 * k, seed=k) for k in (1, 2)]
        found = overall.overall([loaded(one) for one in files])
        self.assertEqual(found.outcome, "faster")
        self.assertRegex(found.sentence, r"^gem is faster than linear in all 2 runs: step time "
                                         r"-\d+\.\d to -\d+\.\d %\.$")
        noisy = [one for one in found.caveats if "The machine was noisy" in one]
        self.assertEqual(len(noisy), 1)
        self.assertRegex(noisy[0], r"^All runs: .* lost 10\.0 to 20\.0 % of its time")
        page, said = self.page(*files), self.written(*files, "--format", "md")
        head = page.split("<h2>All runs</h2>")[0]
        self.assertEqual(head.count("class=verdict"), 1)
        for words in (found.sentence, *found.caveats):
            self.assertIn(html.escape(words), head)
            self.assertIn(words, said.split("### All runs")[0])

    def test_the_worst_run_decides_the_colour(self):
        good, slow = self.made("good.h5"), self.made("slow.h5", gain=-20)
        part = self.made("part.h5.partial", written={"measured_steps": 30})
        alone = self.made("alone.h5", placements=1)
        for files, outcome in (((good, alone), "faster"), ((good, slow), "not conclusive"),
                               ((slow,) * 2, "slower"), ((good, part), "unfinished"),
                               ((alone, alone), "not conclusive")):
            with self.subTest(outcome=outcome):
                self.assertEqual(overall.overall([loaded(one) for one in files]).outcome, outcome)


if __name__ == "__main__":
    main()
