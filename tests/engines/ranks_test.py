#!/usr/bin/env python3
"""What ranks tell each other while they plan: three gloo ranks."""

import functools
import unittest
import uuid

import engine_support


def in_rank(rank, port, folder, body):
    import json
    import pathlib
    import torch.distributed as dist
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=3)
    pathlib.Path(folder, str(rank)).write_text(json.dumps(body(rank)))
    dist.barrier()


def gpus(rank, without):
    from gembench import engine_ranks
    engine_ranks._own_gpu = lambda: bytes(16) if rank == without else uuid.UUID(int=2**127 + rank).bytes
    return engine_ranks.gpu_ids(3, None, "cpu"), engine_ranks.gpu_ids(6, None, "cpu")


def map_of(rank, broken, different):
    import numpy
    from gembench import engine_ranks

    def make(_):
        if rank == broken:
            raise ValueError("broken on purpose")
        return numpy.full((2, 3), int(rank == different))
    try:
        return engine_ranks.plan_alike(make, 3, None, "cpu").tolist()
    except RuntimeError as error:
        return str(error)


class Ranks(unittest.TestCase):
    def told(self, function, arguments):
        import json
        import pathlib
        import tempfile
        import torch.multiprocessing
        with tempfile.TemporaryDirectory() as folder:
            torch.multiprocessing.spawn(in_rank, (engine_support.free_port(), folder,
                                                  functools.partial(function, **arguments)), 3)
            return [json.loads(pathlib.Path(folder, str(rank)).read_text()) for rank in range(3)]

    def test_uuids_of_all_ranks(self):
        all_of_them = [f"GPU-{uuid.UUID(int=2**127 + rank)}" for rank in range(3)]
        self.assertEqual(self.told(gpus, {"without": None}), [[all_of_them, []]] * 3)
        self.assertEqual(self.told(gpus, {"without": 1}), [[[], []]] * 3)

    def test_one_map_or_none(self):
        self.assertEqual(self.told(map_of, {"broken": None, "different": None}), [[[0] * 3] * 2] * 3)
        alike = "the ranks do not plan alike: give all of them the same gembench, variables and profile"
        self.assertEqual(self.told(map_of, {"broken": None, "different": 2}), [alike] * 3)
        self.assertEqual(self.told(map_of, {"broken": 1, "different": None}), [alike, "broken on purpose", alike])


if __name__ == "__main__":
    engine_support.main("torch", "gembench")
