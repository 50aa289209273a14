"""gembench info: what a file is, for every kind of file, and one sentence for any other."""

import json

from support import SMALL, CliTest, main


class Info(CliTest):
    def info(self, *files):
        return json.loads(self.good("info", *files, "--format", "json"))

    def test_every_kind_of_file(self):
        self.good("run", *SMALL, "-o", "r.h5", ranks=2)
        self.good("profile", *SMALL[:8], "--clock", "cpu-time", "--profile-seconds", "0", "-o", "p.h5",
                  ranks=2)
        self.good("trace", "make", *SMALL[:8], "--steps", "16", "-o", "t.h5")
        self.good("plan", "--trace", "t.h5", "--ranks", "2", "-o", "gem.json")
        self.good("convert", "gem.json", "--to", "sglang", "-o", "sglang.json")
        self.good("compare", "r.h5", "--summary", "s.h5")
        names = ["r.h5", "p.h5", "t.h5", "gem.json", "sglang.json", "s.h5"]
        results, profile, trace, placement, engine, summary = self.info(*names)
        self.assertEqual([one["kind"] for one in (results, profile, trace, placement, engine, summary)],
                         ["results", "profile", "trace", "placement", "placement", "summary"])
        self.assertEqual((results["ranks"], results["completed"], results["steps"]), (2, True, 8))
        self.assertEqual(results["segments_measured"], results["segments"])
        self.assertEqual((profile["ranks"], profile["clock"]), (2, "cpu-time"))
        self.assertGreaterEqual(profile["slowest_to_fastest"], 1)
        self.assertEqual((trace["steps"], trace["layers"], trace["experts"]), (16, 2, 32))
        self.assertEqual((placement["format"], placement["strategy"], placement["ranks"]),
                         ("gembench", "gem", 2))
        self.assertEqual(engine["format"], "sglang")
        text = self.good("info", *names)
        for name, kind in zip(names, ("results", "profile", "trace", "placement")):
            self.assertIn(f"{name}: {kind}\n", text)
        self.assertIn("read by", text)

    def test_what_is_no_file_of_ours(self):
        (self.folder / "text").write_text("not one of them\n")
        (self.folder / "half.h5").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
        (self.folder / "folder").mkdir()
        for path, said in (("text", "trace import"), ("half.h5", "half.h5"), ("absent", "check the path"),
                           ("folder", "check the path")):
            self.one_sentence(self.gembench("info", path), 2, said)
        self.one_sentence(self.gembench("info"), 2, "at least one file")


if __name__ == "__main__":
    main()
