"""jobs/probe_prolog.sh: which nodes it drains, with a gembench and a scontrol that only act."""

from support import TOP, CliTest, main

GEMBENCH = """#!/bin/bash
echo "$SLURM_JOB_ID|$CUDA_DEVICE_ORDER|$CUDA_VISIBLE_DEVICES|$*" >>"{folder}/probes"
IFS=: read -r code slow <"{folder}/codes"
sed -i 1d "{folder}/codes"
if [[ $code == hang ]]; then exec sleep 600; fi
while (($#)); do if [[ $1 == --output ]]; then echo new >"$2"; fi; shift; done
echo "# gembench 0"
if ((code == 1)); then
  IFS=: read -ra slow <<<"${{slow:-rank 1 (n3, GPU-7)}}"
  for one in "${{slow[@]}}"; do echo "# $one is slow: 40.1 % slower than the others"; done
fi
exit "$code"
"""
SCONTROL = """#!/bin/bash
printf '%s\\n' "$@" >>"{folder}/drained"
echo "$SLURM_CONF" >"{folder}/conf"
exit 1
"""
SITE = """
source "{top}/jobs/site.sh"
probe_timeout=3
"""


class Prolog(CliTest):
    def setUp(self):
        super().setUp()
        for name, text in (("gembench", GEMBENCH), ("scontrol", SCONTROL)):
            path = self.folder / name
            path.write_text(text.format(folder=self.folder))
            path.chmod(0o755)

    def prolog(self, *codes, site="", whole_site="", gpus="0", **environment):
        """The words of each probe and of scontrol, where the probes end with these codes; 1 may be
        followed by those that it names: 1:rank 0 (n3):..."""
        for name in ("probes", "drained"):
            (self.folder / name).write_text("")
        (self.folder / "codes").write_text("".join(f"{code}\n" for code in codes))
        (self.folder / "site.sh").write_text(whole_site or SITE.format(top=TOP) + site)
        named = {"PATH": f"{self.folder}:/usr/bin:/bin",
                 "GEMBENCH": str(self.folder / "gembench"),
                 "GEMBENCH_SITE": str(self.folder / "site.sh"), "SLURMD_NODENAME": "n3",
                 "SLURM_JOB_ID": "12", "SLURM_CONF": "/etc/a.conf", "SLURM_JOB_GPUS": gpus, "TMPDIR": str(self.folder),
                 **environment}
        done = self.call("env", "-i", *[f"{name}={value}" for name, value in named.items() if value],
                         TOP / "jobs/probe_prolog.sh")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.said = done.stderr
        return tuple((self.folder / name).read_text().splitlines() for name in ("probes", "drained"))

    def history(self):
        return f"probe_history={self.folder}/past\n"

    def test_a_node_is_drained_if_two_probes_in_a_row_say_so(self):
        probes, scontrol = self.prolog(1, 1, site=self.history())
        self.assertEqual(len(probes), 2)
        self.assertEqual(scontrol, [
            "update", "nodename=n3", "state=drain",
            "reason=gembench probe: rank 1 (n3, GPU-7) is slow: 40.1 % slower than the others"])
        self.assertIn("could not drain n3", self.said)
        self.assertEqual((self.folder / "conf").read_text(), "/etc/a.conf\n")
        self.assertEqual(list((self.folder / "past").iterdir()), [])
        self.assertEqual(self.prolog(1, 0, site=self.history())[1], [])

    def test_both_probes_must_name_the_same_device(self):
        seven, eight, moved = (f"rank {rank} (n3, GPU-{gpu})" for rank, gpu in ((1, 7), (0, 8), (0, 7)))
        for first, second, drained in (
                (seven, eight, None), (seven, moved, moved), (seven, f"{eight}:{moved}", moved),
                (f"{eight}:{seven}", seven, seven), ("rank 1 (n3)", "rank 11 (n3)", None),
                ("rank 1 (n3)", "rank 1 (n3)", "rank 1 (n3)")):
            scontrol = self.prolog(f"1:{first}", f"1:{second}", site=self.history())[1]
            self.assertEqual("do not name the same" in self.said, drained is None)
            if drained:
                self.assertIn(f"probe: {drained} is slow", scontrol[-1])
            else:
                self.assertEqual(scontrol, [], (first, second))

    def test_settings_of_an_older_version_and_wrong_ones_keep_no_job(self):
        probes, _ = self.prolog(0, 0, whole_site="modules=()\nranks_per_node=2\ngpus_per_node=0\n", gpus="")
        self.assertEqual(len(probes), 2)  # each rank
        self.assertEqual(self.prolog(whole_site="echo $absent\n")[0], [])
        self.assertEqual(self.prolog(whole_site="if\n")[0], [])

    def test_only_the_newest_probes_are_kept(self):
        past = self.folder / "past"
        past.mkdir()
        for i in range(105):
            (past / f"2025-01-01T{i:06}Z-{i}.h5").write_text("old")
        (past / "mine.h5").write_text("not by the prolog")
        self.prolog(7, site=self.history())
        names = sorted(path.name for path in past.iterdir())
        self.assertEqual(len(names), 101)
        self.assertEqual(names[0], "2025-01-01T000006Z-6.h5")
        self.assertRegex(names[-2], r"^20.*Z-12\.h5$")
        self.assertEqual((past / names[-2]).read_text(), "new\n")

    def test_nothing_else_drains_or_fails(self):
        for code in (0, 2, 3, 5, 7, 137):
            probes, scontrol = self.prolog(code, site=self.history())
            self.assertEqual((len(probes), scontrol), (1, []), code)
            self.assertEqual(f"ended with code {code}" in self.said, code not in (0, 7))
            kept = list((self.folder / "past").iterdir())
            self.assertEqual(len(kept), 1 if code in (0, 7) else 0, code)
            for path in kept:
                path.unlink()
        self.assertEqual(self.prolog("hang", site=self.history())[1], [])
        self.assertIn("ended with code 124", self.said)
        probes, scontrol = self.prolog(1, 1, GEMBENCH="/absent/gembench")
        self.assertEqual((probes, scontrol), ([], []))
        self.assertIn("there is no /absent/gembench", self.said)
        probes, scontrol = self.prolog(1, 1)
        self.assertEqual((probes, scontrol), ([], []))
        self.assertIn("set probe_history", self.said)

    def test_the_jobs_gpus_are_probed_and_quiet_probes_kept(self):
        probes, _ = self.prolog(0, site=self.history(), gpus="5")
        self.assertEqual(len(list((self.folder / "past").glob("*.h5"))), 1)
        self.assertRegex(probes[0], r"^\|PCI_BUS_ID\|5\|probe --quiet --max-seconds 30 --device cuda --history "
                                    r"\S+/past --output \S+/probe.h5 --overwrite$")
        # Several by mpirun, which must not see that it is in a job.
        mpirun = self.folder / "mpirun"
        mpirun.write_text('#!/bin/bash\n[[ $1 == --version ]] && exec echo "mpirun (Open MPI) 4.1.4"\n'
                          'while [[ $1 != */gembench ]]; do words+=" $1"; shift; done\n'
                          f'echo "$words" >>{self.folder}/mpirun.words\nexec "$@"\n')
        mpirun.chmod(0o755)
        probes, _ = self.prolog(0, gpus="2,3,7")
        self.assertIn("-n 3", (self.folder / "mpirun.words").read_text())
        self.assertTrue(probes[0].startswith("|PCI_BUS_ID|2,3,7|probe "), probes)
        probes, _ = self.prolog(0, gpus="", site="ranks_per_node=2\n")
        self.assertNotIn("cuda", probes[0])


if __name__ == "__main__":
    main()
