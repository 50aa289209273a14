"""--anonymous: no name of a host, a user or a home folder in what a run or a profile writes."""

import os
import pwd
import re
import socket

import h5py
import numpy

from support import CliTest, main


def texts_of(path):
    """Every text in an HDF5 file: names, attributes, strings of datasets."""
    found = []

    def take(value):
        if isinstance(value, bytes):
            found.append(value.decode())
        elif isinstance(value, str):
            found.append(value)
        elif hasattr(value, "ravel"):
            for one in value.ravel().tolist():
                if isinstance(one, (bytes, str)):
                    take(one)

    def visit(name, item):
        found.append(name)
        for attribute in item.attrs.values():
            take(attribute)
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "OS":
            take(item[()])

    with h5py.File(path) as file:
        visit("", file)
        file.visititems(visit)
    return found


class Anonymous(CliTest):
    def setUp(self):
        super().setUp()
        # A home that is nobody's, with files in it that options name.
        old = os.environ.get("HOME")
        os.environ["HOME"] = str(self.folder)
        self.addCleanup(lambda: os.environ.update(HOME=old) if old else os.environ.pop("HOME"))
        home = str(self.folder)
        os.environ["NCCL_MADE_FOR_A_TEST"] = "GPU-5a1c7f7e-0d6b-4f0c-8b4e-2f7d2b1f9a10"
        self.addCleanup(os.environ.pop, "NCCL_MADE_FOR_A_TEST")
        self.good("trace", "make", "--model", "gpt-oss-20b", "--layers", "2", "--tokens", "128", "--steps", "80",
                  "-o", "t.h5")
        self.good("plan", "--trace", "t.h5", "--ranks", "2", "-o", "p.json")
        self.words = ["run", "--scale", "16", "--steps", "8", "--block", "1", "--profile-seconds", "0", "-q",
                      "--clock", "cpu-time", "--trace", f"{home}/t.h5", "--in-sample", "--placements",
                      f"linear,file:{home}/p.json", "--anonymous"]

    def names_nobody(self, name):
        names = {socket.gethostname(), socket.gethostname().split(".")[0]}
        for text in texts_of(self.folder / name):
            self.assertNotIn(str(self.folder), text)
            self.assertNotIn("GPU-", text)
            self.assertNotIn(f"/{pwd.getpwuid(os.geteuid()).pw_name}/", text)
            for host in names:
                self.assertNotRegex(text, rf"(?<![\w.-]){re.escape(host)}(?![\w-])")

    def test_a_run(self):
        out = self.good(*self.words, f"-o{self.folder}/a.h5", ranks=2)
        self.names_nobody("a.h5")
        with h5py.File(self.folder / "a.h5") as file:
            self.assertEqual(list(file["environment/host"].asstr()), ["host0", "host0"])
            self.assertEqual(list(file["placement"].asstr()), ["linear", "file:~/p.json"])
            self.assertIn("--trace ~/t.h5", file.attrs["command_line"])
            self.assertTrue(file.attrs["command_line"].endswith(" -o~/a.h5"), file.attrs["command_line"])
        self.assertRegex(out, r"(?m)^#    0  host0 ")
        # It is still known as the run of this command, and no other.
        self.assertIn("was finished before", self.good(*self.words, "-o", "a.h5", "--resume", ranks=2))
        self.one_sentence(self.gembench(*self.words, "-o", "a.h5", "--resume", "--seed", "7", ranks=2), 2,
                          "--seed")
        # With names it is another one.
        self.one_sentence(self.gembench(*self.words[:-1], "-o", "a.h5", "--resume", ranks=2), 2,
                          "--resume needs the --anonymous of the earlier run, which had true and not false")

    def test_an_interrupted_run_goes_on(self):
        self.good(*self.words, "-o", "a.h5", ranks=2)
        (self.folder / "a.h5").rename(self.folder / "a.h5.partial")
        with h5py.File(self.folder / "a.h5.partial", "r+") as file:
            file.attrs["completed"] = numpy.int64(0)
            file["segments/checked_tokens"][:] = -1
            file["segments/check_passed"][:] = -1
            order = file["order"][:]
            file["block"][:] = numpy.where(order > order.max() - 5, -1, file["block"][:])
        out = self.good(*self.words, "-o", "a.h5", "--resume", ranks=2)
        self.assertIn("# resumed last at", out)
        self.names_nobody("a.h5")
        with h5py.File(self.folder / "a.h5") as file:
            self.assertEqual(list(file["placement"].asstr()), ["linear", "file:~/p.json"])
            self.assertTrue((file["block"][:] >= 0).all())

    def test_names_are_kept_without_it(self):
        self.good(*self.words[:-1], "-o", "a.h5", ranks=2)
        with h5py.File(self.folder / "a.h5") as file:
            self.assertEqual(set(file["environment/host"].asstr()), {socket.gethostname()})
            self.assertEqual(file["placement"].asstr()[1], f"file:{self.folder}/p.json")
            self.assertTrue(file.attrs["env_NCCL_MADE_FOR_A_TEST"].startswith("GPU-"))
        self.one_sentence(self.gembench(*self.words, "-o", "a.h5", "--resume", ranks=2), 2,
                          "--resume needs the --anonymous of the earlier run, which had false and not true")

    def test_a_profile(self):
        profile = ["profile", "--model", "gpt-oss-20b", "--scale", "16", "--layers", "2", "--profile-seconds",
                   "0", "-q"]
        self.good(*profile, "--anonymous", "-o", "p.h5", ranks=2)
        self.names_nobody("p.h5")
        with h5py.File(self.folder / "p.h5") as file:
            self.assertEqual(list(file["environment/host"].asstr()), ["host0", "host0"])
        out = self.good(*profile, "--compare", "p.h5", ranks=2)
        self.assertIn("p.h5 cannot say whether nodes are the same", out)
        self.assertNotIn("is another node now", out)


if __name__ == "__main__":
    main()
