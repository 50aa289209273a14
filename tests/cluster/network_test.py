#!/usr/bin/python3
"""What is measured on a slow network between two nodes."""

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
        hierarchical, spared = self.dispatched("hierarchical", "--dispatch", "hierarchical")
        self.assertEqual(sent, sent_slowly)
        # 2 nodes send half of it each, at 12.5 MB/s; 16 times a layer is dispatched.
        at_least = sent / 2 / 16 / 12.5e6
        self.assertGreater(slow, 0.8 * at_least)
        self.assertGreater(slow, 5 * fast)
        # Of two ranks on the other node nearly every token needs both.
        self.assertLess(spared, 0.6 * sent)
        self.assertLess(hierarchical, 0.85 * slow)


if __name__ == "__main__":
    main()
