#!/usr/bin/python3
"""What load() gives, and what it refuses."""

import os
import re
import shutil
from unittest import mock

import h5py
import numpy as np

from analysis_support import Made, ReportTest, main
from gembench_analysis.loading import FileError, load, to_pandas
from gembench_analysis.reduction import reduce
from gembench_analysis.summary import summarise


def with_summary(made, path, good):
    """Puts the summary that the program makes into the file."""
    good("compare", path, "--summary", made)
    with h5py.File(made) as source, h5py.File(path, "a") as file:
        group = file.create_group("summary")
        group["against"] = source["summary/against"][()]
        group["against"].make_scale("against")
        for name, value in source["summary"].items():
            if name == "against":
                continue
            group[name] = value[()]
            for axis, dim in enumerate(value.dims):
                scale = dim[0].name
                group[name].dims[axis].attach_scale(file[scale])
            group[name].attrs.update({key: value.attrs[key] for key in (
                "heading", "factor", "digits", "column") if key in value.attrs})
    made.unlink()


class Load(ReportTest):
    def says(self, path, *words):
        with self.assertRaises(FileError) as caught:
            load(path)
        said = str(caught.exception)
        self.assertNotIn("\n", said)
        for word in (str(path), *words):
            self.assertIn(word, said)

    def test_dimensions_units_and_groups(self):
        run = load(self.made())
        self.assertEqual(run["barrier_wait"].dims, ("placement", "step", "layer", "rank"))
        self.assertEqual(run["barrier_wait"].attrs["units"], "s")
        self.assertEqual(list(run["placement"].values), ["linear", "eplb", "gem"])
        self.assertEqual(list(run["environment_host"].values), [f"node{r}" for r in range(4)])
        self.assertEqual(run.attrs["/model"]["topk"], 2)
        self.assertEqual(run.attrs["config"]["command"], "run")
        self.assertFalse(run.attrs["unfinished"])

    def test_older_names(self):
        new, path = self.made(), f"{self.folder}/older.h5"
        shutil.copy(new, path)
        with h5py.File(path, "a") as file:
            for now, before in (("assignments", "tokens"), ("load_point", "knot"),
                                ("segments/segment", "segments/turn"), ("segments", "turns")):
                file.move(now, before)
            file.attrs["schema_version"] = "2.6.0"
        old, run = load(path), load(new)
        for name in ("assignments", "load_point", "profile_latency", "segments_to_placement"):
            np.testing.assert_array_equal(old[name].values, run[name].values)
        self.assertEqual(old["profile_latency"].dims, ("rank", "load_point"))
        self.assertEqual(old["segments_to_placement"].dims, ("segment",))

    def test_missing_is_nan(self):
        run = load(self.made(written={"measured_steps": 6}))
        self.assertTrue(np.isnan(run["assignments"].values[:, 6:]).all())
        self.assertFalse(np.isnan(run["assignments"].values[:, :6]).any())

    def test_partial_is_read_and_named_so(self):
        run = load(self.made("run.h5.partial", written={"measured_steps": 6}))
        self.assertTrue(run.attrs["unfinished"])
        self.assertEqual(reduce(run)["steps"].values.tolist(), [6, 6, 6])

    def test_other_minor_versions_are_read(self):
        self.assertEqual(load(self.made(written={"version": "2.9.1"})).sizes["rank"], 4)

    def test_refusals_are_one_sentence(self):
        self.says(self.folder / "none.h5", "no such file")
        (self.folder / "text.h5").write_text("hello")
        self.says(self.folder / "text.h5", "cannot be read as HDF5")
        self.says(self.made(written={"version": "3.0.0"}), "3.0.0", "2.x")
        self.says(self.made(written={"schema": "gembench-trace"}), "gembench-trace")

    def test_what_the_schema_promises_is_asked_for(self):
        for change, said in ((lambda file: file.__delitem__("order"), "no order"),
                             (lambda file: file["model"].attrs.__delitem__("topk"), "topk"),
                             (lambda file: file["slots"].write_direct(
                                 np.full(file["slots"].shape, 99, "i4")), "slots name experts")):
            path = self.made()
            with h5py.File(path, "a") as file:
                change(file)
            self.says(path, said)

    def test_nothing_measured_is_refused(self):
        run = load(self.made(written={"measured_steps": 0}))
        with self.assertRaisesRegex(FileError, "no step of it was finished"):
            reduce(run)

    def test_truncated_file_is_refused(self):
        path = self.made()
        whole = path.read_bytes()
        for share in (0.1, 0.5, 0.9):
            path.write_bytes(whole[:int(len(whole) * share)])
            self.says(path)

    def test_pandas_on_request(self):
        frame = to_pandas(load(self.made(written={"measured_steps": 6})))
        self.assertEqual(len(frame), 3 * 6)
        self.assertEqual(set(frame.columns) >= {"placement", "step", "step_time", "order"}, True)
        self.assertFalse(frame["step_time"].isna().any())

    def test_made_files_follow_the_schema(self):
        """Every name of a made file stands in results/SCHEMA.md."""
        from analysis_support import TOP
        contract = (TOP / "results/SCHEMA.md").read_text()
        Made().write(self.folder / "m.h5")
        for name in load(self.folder / "m.h5").data_vars:
            self.assertIn(f"`{re.sub('^(environment|segments)_', '', str(name))}`", contract)

    def test_a_summary_that_is_none_is_refused(self):
        """By its sizes, before its values are looked at."""
        def instead(name, **shape):
            def change(file):
                del file[f"summary/{name}"]
                file.create_dataset(f"summary/{name}", **shape)
                for axis, dim in enumerate(("summary/against", "placement")[-len(shape["shape"]):]):
                    file[f"summary/{name}"].dims[axis].attach_scale(file[dim])
            return change

        def lacking(name):
            return lambda file: file.__delitem__(f"summary/{name}")

        for change, said in (
                (instead("step_mean", shape=(3,), dtype="i8"), "summary/step_mean is int64 (3,)"),
                (instead("step_mean", shape=(4,), dtype="f8"), "summary/step_mean is float64 (4,)"),
                (instead("difference", shape=(2**30, 3), dtype="f8", chunks=(64, 3)),
                 "summary/difference is float64 (1073741824, 3)"),
                (instead("difference", shape=(3,), dtype="f8"), "its summary: "),
                (lacking("last_share"), "summary_last_share"),
                (lacking("difference_low"), "summary_difference_low")):
            path = self.made()
            with_summary(self.folder / "s.h5", path, self.good)
            with h5py.File(path, "a") as file:
                change(file)
            with self.assertRaises(FileError) as caught:
                summarise(load(path))
            self.assertIn(said, str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))

    def test_what_an_earlier_minor_version_lacks_is_not_known(self):
        path = self.made()
        with_summary(self.folder / "s.h5", path, self.good)
        with h5py.File(path, "a") as file:
            for name in ("wait_mean", "step_mean_low", "payload_bytes"):
                del file[f"summary/{name}"]
        for row in summarise(load(path)):
            self.assertTrue(np.isnan(row.wait_mean))
            self.assertIsNone(row.intervals["step_mean"])
            self.assertNotIn("payload_bytes", row.rates)
            self.assertGreater(row.step_mean, 0)

    def test_without_a_summary_the_program_is_asked(self):
        run = load(self.made())
        self.assertEqual([row.placement for row in summarise(run)], ["linear", "eplb", "gem"])
        for program, said in ((None, "no gembench on the PATH to make one; name the program in"),
                              ("/none", "does not start (No such file or directory)"),
                              ("/bin/false", "/bin/false makes none: it says nothing")):
            with mock.patch.dict(os.environ, {"PATH": "/none"}):
                os.environ.pop("GEMBENCH", None)
                if program:
                    os.environ["GEMBENCH"] = program
                with self.assertRaisesRegex(FileError, re.escape(said)):
                    summarise(run)


if __name__ == "__main__":
    main()
