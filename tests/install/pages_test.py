"""The manual page and the shells' completions name every command and every option that help does, and
the completions complete real command lines."""

import re
import shutil
import unittest

from support import CliTest, main

TRY_BASH = """
source ./gembench.bash
COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
_gembench
printf '%s\\n' "${COMPREPLY[@]}"
"""
TRY_FISH = "source ./gembench.fish; complete -C $argv[1]"
# zsh completes in a terminal only: one of its own, in which a key after the tab writes the line to a file.
SETUP_ZSH = """
autoload -Uz compinit && compinit -u -D
source ./gembench.zsh
keep() { print -rn -- "$BUFFER" >line; exit }
zle -N keep
bindkey '^X' keep
print read''y
"""
TRY_ZSH = """
zmodload zsh/zpty
export TERM=dumb
zpty shell 'zsh -f -i'
zpty -w shell 'source ./setup.zsh'
zpty -r shell text '*ready*'
zpty -w -n shell "$1"$'\\t'$'\\x18'
while zpty -r shell text; do :; done
"""


class Pages(CliTest):
    def setUp(self):
        super().setUp()
        self.manual = self.good("man")
        for shell in ("bash", "zsh", "fish"):
            (self.folder / f"gembench.{shell}").write_text(self.good("completion", shell))

    def commands(self):
        named = re.findall(r"^  ([a-z]+) +\S", self.good("--help"), re.MULTILINE)
        self.assertIn("run", named)
        return named

    def options(self, command):
        found = re.findall(r"^  (?:(-\w) \[ )?--([a-z-]+)", self.good(command, "--help"), re.MULTILINE)
        self.assertIn(("-h", "help"), found)
        return found

    def test_every_option_of_every_command(self):
        bash = (self.folder / "gembench.bash").read_text()
        zsh = (self.folder / "gembench.zsh").read_text()
        fish = (self.folder / "gembench.fish").read_text()
        manual = self.manual.replace("\\-", "-").split(".SS ")
        count = 0
        for command in self.commands():
            sections = [part for part in manual if part.startswith(f"\\fBgembench {command}")]
            self.assertEqual(len(sections), 1, command)
            ours_bash = re.search(rf"^    {command}\)\n      options='(.*)'$", bash, re.MULTILINE)[1].split()
            ours_zsh = re.search(rf"^    {command}\)\n(.*?)^      ;;$", zsh, re.MULTILINE | re.DOTALL)[1]
            for letter, name in self.options(command):
                self.assertIn(f"\\fB--{name}\\fR", sections[0])
                self.assertIn(f"--{name}", ours_bash)
                self.assertRegex(ours_zsh, rf"--{name}(=|\[|\}}|,)")
                self.assertRegex(fish, rf"(?m)^complete -c gembench -n '__gembench_in {command}' -l {name} ")
                if letter:
                    self.assertIn(letter, ours_bash)
                count += 1
        self.assertGreater(count, 100)

    def test_the_page_is_sound(self):
        self.assertTrue(self.manual.startswith(".TH GEMBENCH 1 "))
        (self.folder / "gembench.1").write_text(self.manual)
        checked = 0
        if shutil.which("groff"):
            done = self.call("groff", "-man", "-Tutf8", "-ww", "-z", "gembench.1")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            checked += 1
        if shutil.which("mandoc"):
            done = self.call("mandoc", "-T", "lint", "-W", "error", "gembench.1")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            checked += 1
        if not checked:
            self.skipTest("neither groff nor mandoc is installed")

    def replies(self, line):
        done = self.call("bash", "--norc", "-c", TRY_BASH, "bash", line)
        self.assertEqual((done.returncode, done.stderr), (0, ""), line)
        return done.stdout.split()

    def test_bash(self):
        self.assertIn("completion", self.replies("gembench "))
        self.assertEqual(self.replies("gembench run --rout"), ["--routing"])
        self.assertEqual(self.replies("gembench run --routing "), ["synthetic", "trace", "router"])
        self.assertEqual(self.replies("gembench run --routing=t"), ["trace"])
        self.assertEqual(self.replies("gembench run -q --placements linear,ge"), ["linear,gem", "linear,gem+"])
        self.assertEqual(self.replies("gembench trace i"), ["import", "info"])
        # bash keeps "builtin:", at which it breaks the word.
        self.assertIn("v100-sgemm", self.replies("gembench score --slowdown-from builtin:v"))
        # Numbers and files are not ours to complete.
        self.assertEqual(self.replies("gembench run --steps "), [])
        self.assertEqual(self.replies("gembench compare a"), [])
        self.assertEqual(self.replies("gembench nonsense --"), [])

    def test_bash_registers_it_and_nothing_else(self):
        done = self.call("bash", "--norc", "-c", "source ./gembench.bash; complete -p")
        self.assertRegex(done.stdout, r"^complete .*-F _gembench gembench\n$")
        if shutil.which("shellcheck"):
            done = self.call("shellcheck", "gembench.bash")
            self.assertEqual(done.returncode, 0, done.stdout)

    @unittest.skipUnless(shutil.which("fish"), "fish is not installed")
    def test_fish(self):
        (self.folder / "loads.h5").touch()

        def replies(line):
            done = self.call("fish", "--no-config", "-c", TRY_FISH, line)
            self.assertEqual((done.returncode, done.stderr), (0, ""), line)
            return {reply.split("\t")[0] for reply in done.stdout.splitlines()}

        self.assertIn("completion", replies("gembench "))
        self.assertEqual(replies("gembench run --rout"), {"--routing"})
        self.assertEqual(replies("gembench run --routing "), {"synthetic", "trace", "router"})
        self.assertEqual(replies("gembench run --placements linear,ge"), {"linear,gem", "linear,gem+"})
        self.assertEqual(replies("gembench plan --trace loa"), {"loads.h5"})
        self.assertEqual(replies("gembench run --steps "), set())

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh(self):
        done = self.call("zsh", "-n", "gembench.zsh")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        (self.folder / "loads.h5").touch()
        (self.folder / "setup.zsh").write_text(SETUP_ZSH)
        for typed, completed in (("gembench comple", "gembench completion "),
                                 ("gembench run --rout", "gembench run --routing="),
                                 ("gembench run --routing sy", "gembench run --routing synthetic "),
                                 ("gembench run --placements eplb,gem,flash",
                                  "gembench run --placements eplb,gem,flashlb,"),
                                 ("gembench plan --trace loa", "gembench plan --trace loads.h5 ")):
            done = self.call("zsh", "-f", "-c", TRY_ZSH, "zsh", typed)
            self.assertEqual(done.stderr, "")
            self.assertEqual((self.folder / "line").read_text(), completed)

    def test_a_shell_that_is_not_known(self):
        for words in ([], ["tcsh"], ["bash", "zsh"]):
            self.one_sentence(self.gembench("completion", *words), 2, "name one of bash, zsh, fish")


if __name__ == "__main__":
    main()
