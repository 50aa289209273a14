"""--format: JSON from every command that prints a table, and CSV of several files under one header."""

import csv
import io
import json

from support import TOP, CliTest, keys_of, main, small_but

SHAPE = ["--model", "gpt-oss-20b", "--layers", "2"]
RUN = ["run", *small_but(["--block", "1"]), "--clock", "cpu-time", "--placements", "linear,gem"]


def objects_in(text):
    """The JSON objects that follow each other."""
    decoder, found = json.JSONDecoder(), []
    while text.strip():
        one, end = decoder.raw_decode(text.lstrip())
        found.append(one)
        text = text.lstrip()[end:]
    return found


class Formats(CliTest):
    def setUp(self):
        super().setUp()
        self.good("trace", "make", *SHAPE, "--tokens", "64", "--steps", "40", "-o", "t.h5")

    def json_of(self, *words, ranks=None):
        """What it prints is one object or list, and nothing else."""
        (one,) = objects_in(self.good(*words, "--format", "json", ranks=ranks))
        documented = (TOP / "harness/OUTPUT.md").read_text()
        missing = [key for key in sorted(keys_of(one)) if f"`{key}`" not in documented]
        self.assertEqual(missing, [], f"OUTPUT.md documents every key of {words[0]}")
        return one

    def table_of(self, *words, ranks=None):
        """CSV: lines of as many cells as the header, as dictionaries."""
        text = self.good(*words, "--format", "csv", ranks=ranks)
        lines = list(csv.reader(io.StringIO(text)))
        self.assertEqual({len(line) for line in lines}, {len(lines[0])}, text)
        self.assertNotIn(lines[0], lines[1:], "the header comes once")
        return [dict(zip(lines[0], line)) for line in lines[1:]]

    def test_every_command_with_a_table_has_json(self):
        lists = self.json_of("list")
        self.assertIn("gpt-oss-20b", [model["name"] for model in lists["models"]])
        self.assertIn("gem", [placement["name"] for placement in lists["placements"]])
        formats = {"summary", "experimental"}
        keys = {"models": {"layers", "experts", "topk", "shared", "hidden", "ffn", "note"},
                "placements": {"summary", "options"}, "placement_formats": formats, "recordings": formats,
                "presets": {"summary", "needs_ranks"}}
        said = (TOP / "harness/OUTPUT.md").read_text().partition("`list` prints")[2].partition("##")[0]
        for kind, rows in lists.items():
            self.assertIn(f"`{kind}`", said)
            expected = {"name", *keys.get(kind, {"summary"})}
            for row in rows:
                if kind == "profiles":
                    self.assertIsInstance(row, str)
                else:
                    self.assertEqual(set(row), expected, kind)
            self.assertEqual([key for key in expected if f"`{key}`" not in said], [], kind)
        made = self.json_of("trace", "make", *SHAPE, "--tokens", "64", "--steps", "40", "-o", "u.h5")
        shown = self.json_of("trace", "info", "t.h5")
        self.assertEqual({**made, "file": "t.h5"}, shown)
        self.assertEqual((shown["steps"], shown["layers"], shown["experts"], shown["topk"]), (40, 2, 32, 4))
        self.assertEqual(len(shown["by_layer"]), 2)
        self.assertEqual(self.json_of("info", "t.h5")[0]["kind"], "trace")
        planned = self.json_of("plan", "--trace", "t.h5", "--ranks", "4", "--learning-curve", "-o", "p.json")
        curve = self.json_of("trace", "info", "t.h5", "--learning-curve", "--ranks", "4")
        for found in (planned, curve):
            self.assertEqual([point["planned_steps"] for point in found["learning"]], [7, 15, 30])
            self.assertEqual((found["learning_against"], found["requests"], found["tasks"]),
                             ("eplb", None, 0))
            self.assertRegex(found["learning_finding"], "^(more recording would still help|whether more recording would help is "
                             "open|the curve is flat from)")
        scored = self.json_of("score", "--trace", "t.h5", "--ranks", "4", "--strategies", "gem")
        self.assertEqual([len(found["placements"]) for found in (planned, scored)], [1, 1])
        self.assertEqual(len(self.json_of("profile", *SHAPE, "--scale", "16", "--profile-seconds", "0",
                                          "-q", "-o", "p.h5", ranks=2)["ranks"]), 2)
        self.assertTrue(self.json_of(*RUN, "--dry-run", ranks=2)["dry_run"])
        run = self.json_of(*RUN, "-o", "a.h5", ranks=2)
        self.assertEqual(run, self.json_of("compare", "a.h5"))

    def test_an_imported_trace_has_json(self):
        ids = bytes(expert for _ in range(64 * 2) for expert in range(4))
        (self.folder / "a.u8").write_bytes(ids)
        made = self.json_of("trace", "import", "ids", "a.u8", *SHAPE, "--window", "16", "-q", "-o", "i.h5")
        self.assertEqual(made, self.json_of("trace", "info", "i.h5"))
        self.assertEqual((made["steps"], made["tokens_a_step"], made["ids"]), (4, "16", True))
        self.assertEqual((made["skew"], made["step_skew"]), (8, 8), "4 of 32 experts have all tokens")

    def test_csv_of_a_dry_run(self):
        rows = self.table_of(*RUN, "--dry-run", ranks=2)
        self.assertEqual([row["placement"] for row in rows], ["linear", "gem"])
        self.assertGreater(float(rows[0]["predicted"]), 0)
        self.assertLessEqual(float(rows[0]["bound"]), float(rows[0]["predicted"]))
        dry = self.json_of(*RUN, "--dry-run", ranks=2)["placements"]
        self.assertEqual(list(rows[0]), list(dry[0]))

    def test_csv_of_several_files_has_one_header_and_names_them(self):
        for seed in (1, 2, 3):
            self.good(*RUN, "--seed", str(seed), "-o", f"{seed}, a.h5", ranks=2)
        names = [f"{seed}, a.h5" for seed in (1, 2, 3)]
        alone = self.table_of("compare", names[0])
        self.assertNotIn("file", alone[0])
        rows = self.table_of("compare", *names)
        self.assertEqual(list(rows[0])[0], "file")
        self.assertEqual([row["file"] for row in rows[:6]], [name for name in names for _ in range(2)])
        for row, one in zip(rows, alone):
            self.assertEqual(row, {**row, **one})
        (pooled,) = rows[6:]
        self.assertEqual((pooled["file"], pooled["placement"], pooled["against"], pooled["launches"]),
                         (" ".join(names), "gem", "linear", "3"))
        self.assertTrue(pooled["difference_low"])
        self.assertEqual({row["launches"] for row in rows[:6]}, {""})

    def test_csv_of_a_sweep_has_one_header(self):
        at = RUN.index("--tokens") + 1
        sweep = [*RUN[:at], "64,128", *RUN[at + 1:]]
        for words in ([], ["--resume"]):
            rows = self.table_of(*sweep, "-o", "a.h5", *words, ranks=2)
            self.assertEqual([row["file"] for row in rows], ["a-64.h5"] * 2 + ["a-128.h5"] * 2)
        rows = self.table_of(*sweep, "--dry-run", ranks=2)
        self.assertEqual([row["tokens"] for row in rows], ["64", "64", "128", "128"])
        found = objects_in(self.good(*sweep, "-o", "a.h5", "--resume", "--format", "json", ranks=2))
        lines = self.good(*sweep, "-o", "a.h5", "--resume", ranks=2).splitlines()
        self.assertEqual(lines[-2:], [f"# {tokens} tokens: {one['verdict']}"
                                      for tokens, one in zip((64, 128), found, strict=True)])


if __name__ == "__main__":
    main()
