#!/usr/bin/python3
"""What is measured on a slow network between two nodes. Bytes are judged, and seconds only where the
link sets a floor; the other seconds are printed."""

import random

import h5py
import numpy

from cluster_case import ClusterCase, main

# Much to send and little to compute: 4 KiB a token, to both nodes, at 200 Mbit/s.
WIDE = ["--model", "gpt-oss-20b", "--hidden", "2048", "--ffn", "64", "--layers", "2", "--tokens",
        "256", "--topk", "8", "--placements", "linear", "--steps", "8", "--block", "4", "--profile-seconds", "0",
        "--plan-steps", "8", "--clock", "wall", "-q"]


class Network(ClusterCase):
    def dispatched(self, name, *words):
        """(median over steps and layers of the slowest rank's seconds, bytes between nodes)."""
        self.completes(self.submit("run.sbatch", *WIDE, *words, "-o", f"{name}.h5"))
        with h5py.File(self.folder / f"{name}.h5") as file:
            seconds = numpy.median(file["dispatch_time"][()].max(axis=-1))
            between = int(file["inter_node_bytes"][()].sum())
        print(f"  {name}: dispatch {seconds * 1e3:.2f} ms, {between / 1e6:.2f} MB between nodes")
        return seconds, between

    def test_a_slow_link_shows_and_hierarchical_dispatch_spares_it(self):
        fast, sent = self.dispatched("fast")
        self.cluster.limit("100mbit")
        slow, sent_slowly = self.dispatched("slow")
        _, spared = self.dispatched("hierarchical", "--dispatch", "hierarchical")
        self.assertEqual(sent, sent_slowly)
        # 2 nodes send half of it each, at 12.5 MB/s; 16 times a layer is dispatched.
        at_least = sent / 2 / 16 / 12.5e6
        self.assertGreater(slow, 0.8 * at_least, f"no network is faster; unlimited {fast} s")
        # Of two ranks on the other node nearly every token needs both.
        self.assertLess(spared, 0.6 * sent)

    def test_a_placement_that_minds_nodes_sends_less_and_takes_less(self):
        # A token's four experts come from one of four groups, which linear deals over all ranks.
        draw = random.Random(1)
        with open(self.folder / "ids.u8", "wb") as file:
            for _ in range(16 * 256 * 2):
                group = draw.randrange(4)
                file.write(bytes(4 * i + group for i in draw.sample(range(8), 4)))
        shape = ["--model", "gpt-oss-20b", "--hidden", "2048", "--ffn", "64", "--layers", "2"]
        self.good("trace", "import", "ids", "ids.u8", "--model", "gpt-oss-20b", "--layers", "2", "--tokens", "256", "-q", "-o", "t.h5")
        self.cluster.limit("100mbit")
        self.completes(self.submit(
            "run.sbatch", *shape, "--trace", "t.h5", "--placements", "linear,gem+", "--node-cost",
            1 / 12.5e6, "--steps", "8", "--block", "4", "--profile-seconds", "0", "--clock", "wall",
            "-q", "-o", "nodes.h5"))
        with h5py.File(self.folder / "nodes.h5") as file:
            linear, aware = (numpy.median(times) for times in file["dispatch_time"][()].max(axis=-1))
            sent = file["inter_node_bytes"][()].sum(axis=(1, 2, 3))
        print(f"  linear: dispatch {linear * 1e3:.2f} ms, {sent[0] / 1e6:.2f} MB between nodes; gem+ "
              f"with --node-cost: {aware * 1e3:.2f} ms, {sent[1] / 1e6:.2f} MB")
        # Linear: each of the other node's two ranks is needed by 1 - C(6,4)/C(8,4) of all tokens. Where
        # groups keep to nodes: by 1 - C(4,4)/C(8,4) of half of them. That is 0.63 of the bytes.
        self.assertLess(sent[1], 0.66 * sent[0])


if __name__ == "__main__":
    main()
