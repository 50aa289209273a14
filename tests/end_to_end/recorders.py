"""Files as serving engines write them, made with the standard library and NumPy alone."""

import collections
import io
import json
import pickle
import struct
import sys
import types
import zipfile

import numpy


class _Storage:
    def __init__(self, array, device):
        self.array = numpy.ascontiguousarray(array)
        self.device = device


def _fake_torch():
    """What pickles of torch.save name, so that pickle finds it while it writes."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2():
        pass

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    for name in ("Int", "Long", "Float", "Double", "Short", "Byte", "Char"):
        kind = type(f"{name}Storage", (), {"__module__": "torch"})
        setattr(torch, kind.__name__, kind)
    return torch, utils


TORCH, UTILS = _fake_torch()
STORAGES = {"i4": "Int", "i8": "Long", "f4": "Float", "f8": "Double", "i2": "Short", "u1": "Byte",
            "i1": "Char"}


class Tensor:
    """An array that is pickled like a tensor."""

    def __init__(self, array, device="cpu", offset=0, strides=None):
        self.array = numpy.asarray(array)
        self.storage = _Storage(self.array, device)
        self.offset = offset
        self.strides = strides

    def __reduce__(self):
        array = self.storage.array
        strides = self.strides or tuple(step // array.itemsize for step in array.strides)
        return UTILS._rebuild_tensor_v2, (self.storage, self.offset, array.shape, strides, False,
                                          collections.OrderedDict())


class _Pickler(pickle.Pickler):
    def __init__(self, to):
        super().__init__(to, protocol=2)
        self.storages = []

    def persistent_id(self, value):
        if not isinstance(value, _Storage):
            return None
        self.storages.append(value)
        kind = getattr(TORCH, STORAGES[value.array.dtype.str[1:]] + "Storage")
        return ("storage", kind, str(len(self.storages) - 1), value.device, value.array.size)


def torch_save(value, path, prefix="archive"):
    """torch.save(value, path)."""
    with_torch = {"torch": TORCH, "torch._utils": UTILS}
    sys.modules.update(with_torch)
    try:
        to = io.BytesIO()
        pickler = _Pickler(to)
        pickler.dump(value)
    finally:
        for name in with_torch:
            del sys.modules[name]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{prefix}/data.pkl", to.getvalue())
        archive.writestr(f"{prefix}/byteorder", "little")
        for key in sorted(str(i) for i in range(len(pickler.storages))):
            with archive.open(f"{prefix}/data/{key}", "w", force_zip64=True) as entry:
                entry.write(memoryview(pickler.storages[int(key)].array).cast("B"))
        archive.writestr(f"{prefix}/version", "3\n")


def save_safetensors(tensors, path):
    header, offset = {}, 0
    names = {"i8": "I64", "i4": "I32", "f4": "F32"}
    for name, array in tensors.items():
        header[name] = {"dtype": names[array.dtype.str[1:]], "shape": list(array.shape),
                        "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as to:
        to.write(struct.pack("<Q", len(text)) + text)
        for array in tensors.values():
            to.write(memoryview(numpy.ascontiguousarray(array)).cast("B"))


def save_trtllm_statistics(counts, folder, topk, first_iteration=100, first_layer=3):
    """counts[rank][iteration][layer][expert]; keys sorted as safetensors sorts them."""
    folder.mkdir()
    meta = {"num_experts": counts.shape[3], "num_experts_per_token": topk}
    (folder / "meta_info.json").write_text(json.dumps(meta))
    for rank, of_rank in enumerate(counts):
        tensors = {f"{first_iteration + i}_{first_layer + layer}": of_rank[i, layer]
                   for i in range(counts.shape[1]) for layer in range(counts.shape[2])}
        save_safetensors(dict(sorted(tensors.items())), folder / f"rank{rank}.safetensors")
