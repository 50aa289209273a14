#!/usr/bin/python3
"""Writes our files anew as other programs write such files, and has corpus_test.cpp read them: texts in
ASCII and UTF-8, of variable and of fixed length, padded in every way; HDF5's older and newest formats;
netCDF4's. make_corpus.py WRITE_EXAMPLE CORPUS_TEST [FOLDER], kept in FOLDER for other HDF5s to read."""

import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)
try:
    import netCDF4
except ImportError:
    netCDF4 = None

ASCII, UTF8 = h5py.h5t.CSET_ASCII, h5py.h5t.CSET_UTF8
PADDINGS = {"terminated": h5py.h5t.STR_NULLTERM, "nulls": h5py.h5t.STR_NULLPAD,
            "spaces": h5py.h5t.STR_SPACEPAD}


def fixed(texts, charset, padding):
    """The type, and the texts as they lie in it."""
    size = max(len(text) for text in texts) + 1
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(size)
    kind.set_cset(charset)
    kind.set_strpad(PADDINGS[padding])
    filler = b" " if padding == "spaces" else b"\0"
    return kind, np.array([text.ljust(size, filler) for text in texts], f"V{size}")


def encoded(value):
    """A text or texts, as a list of bytes; None for anything else."""
    if isinstance(value, (str, bytes)):
        value = [value]
    elif not (isinstance(value, np.ndarray) and value.dtype.kind in "OSU"):
        return None
    return [one.encode() if isinstance(one, str) else bytes(one) for one in np.asarray(value).flat]


class Style:
    """How texts are written: `padding` None is variable length."""

    def __init__(self, charset, padding):
        self.charset, self.padding = charset, padding
        self.variable = h5py.string_dtype("ascii" if charset == ASCII else "utf-8")

    def is_variable(self, texts):
        # HDF5's older formats hold no larger attribute.
        return self.padding is None or sum(map(len, texts)) > 60_000

    def attribute(self, owner, name, texts, shape):
        if self.is_variable(texts):
            owner.attrs.create(name, np.array(texts, object).reshape(shape), dtype=self.variable)
            return
        kind, values = fixed(texts, self.charset, self.padding)
        made = h5py.h5a.create(owner.id, name.encode(), kind, space(shape))
        made.write(values.reshape(shape), mtype=kind)

    def dataset(self, group, name, texts, shape):
        if self.is_variable(texts):
            return group.create_dataset(name, data=np.array(texts, object).reshape(shape),
                                        dtype=self.variable)
        kind, values = fixed(texts, self.charset, self.padding)
        made = h5py.h5d.create(group.id, name.encode(), kind, space(shape))
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, values.reshape(shape), mtype=kind)
        return h5py.Dataset(made)


def space(shape):
    return h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)


def is_scale(item):
    return item.attrs.get("CLASS") == b"DIMENSION_SCALE"


def copy_attributes(old, new, style):
    for name, value in old.attrs.items():
        if name in ("CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"):
            continue  # those of dimension scales, which are made anew
        texts = encoded(value)
        if texts is None:
            new.attrs.create(name, value, dtype=old.attrs.get_id(name).dtype)
        else:
            style.attribute(new, name, texts, np.shape(value) if not isinstance(value, (str, bytes))
                            else ())


def copy(old, new, style):
    copy_attributes(old, new, style)
    for name, item in old.items():
        if isinstance(item, h5py.Group):
            copy(item, new.create_group(name), style)
            continue
        texts = encoded(item[()]) if item.dtype.kind == "O" else None
        if texts is None:
            made = new.create_dataset(name, data=item[()], dtype=item.dtype, maxshape=item.maxshape,
                                      chunks=item.chunks, compression=item.compression)
        else:
            made = style.dataset(new, name, texts, item.shape)
        copy_attributes(item, made, style)
        if is_scale(item):
            made.make_scale(item.name.rsplit("/", 1)[1])


def attach_scales(old, new):
    def visit(name, item):
        if isinstance(item, h5py.Dataset) and not is_scale(item):
            for axis, dim in enumerate(item.dims):
                for scale in dim.values():
                    new[name].dims[axis].attach_scale(new[scale.name])
    old.visititems(visit)


def write_anew(source, target, style, libver):
    with h5py.File(source) as old, h5py.File(target, "w", libver=libver) as new:
        copy(old, new, style)
        attach_scales(old, new)


def write_by_netcdf(source, target, texts_of_variable_length):
    """As someone would who takes a trace apart and writes it again with netCDF4."""
    with h5py.File(source) as old, netCDF4.Dataset(target, "w") as new:
        for name, item in old.items():
            if is_scale(item):
                new.createDimension(name, None if item.maxshape[0] is None else item.shape[0])
        for name, item in old.items():
            dims = [name] if is_scale(item) else [dim[0].name.lstrip("/") for dim in item.dims]
            new.createVariable(name, item.dtype, dims)[:] = item[()]
        for name, value in old.attrs.items():
            if isinstance(value, str) and texts_of_variable_length:
                new.setncattr_string(name, value)
            else:
                new.setncattr(name, value)


def main():
    write_example, test, *folder = sys.argv[1:]
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(folder[0] if folder else made)
        folder.mkdir(exist_ok=True)
        subprocess.run([write_example, folder / "run.h5", folder / "trace.h5"], check=True)
        for kind in ("run", "trace"):
            source = folder / f"{kind}.h5"
            for charset, of in ((ASCII, "ascii"), (UTF8, "utf8")):
                for padding in (None, *PADDINGS):
                    write_anew(source, folder / f"{kind}-{of}-{padding or 'variable'}.h5",
                               Style(charset, padding), None)
            for libver in ("earliest", "latest", ("earliest", "v108"), ("v108", "v110")):
                name = libver if isinstance(libver, str) else libver[1]
                write_anew(source, folder / f"{kind}-format-{name}.h5", Style(UTF8, None), libver)
        if netCDF4:
            write_by_netcdf(folder / "trace.h5", folder / "trace-netcdf-fixed.h5", False)
            write_by_netcdf(folder / "trace.h5", folder / "trace-netcdf-variable.h5", True)
        else:
            print("netCDF4 is not installed: not tried")
        print(f"h5py {h5py.__version__}, HDF5 {h5py.version.hdf5_version}")
        sys.exit(subprocess.run([test], env={**os.environ, "GEMBENCH_CORPUS": str(folder)}).returncode)


if __name__ == "__main__":
    main()
