#!/usr/bin/python3
"""Two Slurm nodes on one machine. `cluster.py [-n NODES] [COMMAND ...]` brings munge, slurmctld and a
slurmd for every node up, runs COMMAND (a shell) on the head node, and takes everything down.

A node is a process with network, host name, mounts, process ids and /dev/shm of its own (Linux
namespaces, entered by process id: none has a name, so none can be left over). Killing a node's first
process ends everything that ever ran on it, as when its power fails, and that first process is
killed by the kernel when this one dies, whatever the reason. Addresses and ports are the cluster's
own, so clusters may run side by side."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HANGS = 600  # seconds after which something never happens
PROGRAMS = ["munged", "slurmctld", "slurmd", "srun", "sbatch", "scontrol", "ip", "tc", "unshare",
            "nsenter", "setpriv"]
CONFIGURATION = """
ClusterName=gembench
SlurmctldHost=head(10.77.0.1)
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
TmpFS={folder}/tmp-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
# None of what needs cgroups or systemd; twice as many CPUs as there are.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SwitchType=switch/none
GresTypes=gpu
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
SchedulerParameters=sched_interval=1
# Less than by default (30 and 300 s), and still so long that it shows who waits for them.
KillWait=10
SlurmdTimeout=30
"""
NODE = ("NodeName={name} NodeAddr={address} CPUs=4 CoresPerSocket=4 RealMemory=1000 "
        "Gres=gpu:4 State=UNKNOWN\n")
# A node's first process: bash, which reaps what its children leave.
INIT = """
mount -t tmpfs tmpfs /dev/shm && mount --bind "$1/hosts" /etc/hosts && hostname "$2" &&
ip link set lo up && echo ready || exit
read -r
shift 2
for daemon; do $daemon & done
wait
"""


def missing():
    """Why there can be no cluster here, or nothing."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (jobs/install.sh --tests)"
    if not os.path.ismount("/sys/fs/cgroup"):
        return "slurmd does not start where nothing is mounted at /sys/fs/cgroup"
    tried = subprocess.run(["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "sh", "-c",
                            "mount -t tmpfs tmpfs /dev/shm && ip link add v type veth"],
                           capture_output=True, text=True, check=False)
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else None


class Node:
    """`daemons` start when it is connected."""

    def __init__(self, folder, name, address, daemons):
        self.name, self.address = name, address
        with open(folder / f"{name}.log", "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--uts", "--mount", "--pid",
                 "--fork", "--kill-child", "--mount-proc", "bash", "-c", INIT, "init", folder, name,
                 *daemons], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "SLURM_CONF": str(folder / "slurm.conf")})
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{name}: {(folder / f'{name}.log').read_text()}")
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.first = int(children.read_text())

    def inside(self, *words):
        """Words that run others there. Processes seen in /proc are this machine's, which must be so
        for those that are not the node's."""
        return ["nsenter", f"--target={self.process.pid}", "--net", "--uts", *words]

    def run(self, *words):
        subprocess.run(self.inside(*words), check=True)

    def connected(self):
        self.process.stdin.write("connected\n")
        self.process.stdin.flush()

    def mount(self, *words):
        """mount's words; seen by the node and its jobs only."""
        command = ["umount", *words[1:]] if words[0] == "--unmount" else ["mount", *words]
        subprocess.run(["nsenter", f"--target={self.first}", "--mount", *map(str, command)],
                       check=True)

    def processes(self):
        """{id: name} of what runs on it but its first process and its daemons."""
        own = os.readlink(f"/proc/{self.first}/ns/pid")
        found = {}
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(process / "ns/pid") == own and int(process.name) != self.first:
                    found[int(process.name)] = (process / "comm").read_text().strip()
            except OSError:  # it ended meanwhile
                pass
        return {process: name for process, name in found.items() if name != "slurmd"}

    def kill(self):
        """Everything on it, at once."""
        os.kill(self.first, signal.SIGKILL)
        self.process.communicate()


class Cluster:
    """Up from construction until down()."""

    def __init__(self, nodes=2):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="gembench-cluster-"))
        self.folder.chmod(0o755)  # munged insists
        self.names = [f"node{i}" for i in range(nodes)]
        self.environment = {"SLURM_CONF": str(self.folder / "slurm.conf"),
                            "TMPDIR": str(self.folder / "tmp")}
        self.head, self.nodes = None, []
        try:
            self.write_configuration()
            self.start()
        except BaseException:
            self.down()
            raise

    def write_configuration(self):
        addresses = {name: f"10.77.0.{i + 2}" for i, name in enumerate(self.names)}
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(folder=self.folder)
            + "".join(NODE.format(name=n, address=a) for n, a in addresses.items())
            + f"PartitionName=main Nodes={','.join(self.names)} Default=YES MaxTime=60\n")
        (self.folder / "hosts").write_text("127.0.0.1 localhost\n10.77.0.1 head\n" + "".join(
            f"{address} {name}\n" for name, address in addresses.items()))
        (self.folder / "gres.conf").write_text(f"Name=gpu File={self.folder}/gpu[0-3]\n")
        for gpu in range(4):  # slurmd wants device files
            os.mknod(self.folder / f"gpu{gpu}", 0o20600, os.makedev(1, 3))
        for name in ("tmp", "state", *(f"tmp-{n}" for n in self.names)):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.touch(0o400)
        key.write_bytes(os.urandom(128))

    def start(self):
        at = self.folder
        munged = (f"munged --force --foreground --key-file={at}/munge.key --socket={at}/munge.socket"
                  f" --pid-file={at}/munge.pid --log-file={at}/munge.log --seed-file={at}/munge.seed")
        self.head = Node(at, "head", "10.77.0.1", [munged, "slurmctld -D"])
        self.head.run("ip", "link", "add", "bridge", "type", "bridge")
        self.head.run("ip", "addr", "add", "10.77.0.1/24", "dev", "bridge")
        self.head.run("ip", "link", "set", "bridge", "up")
        self.head.connected()
        self.wait(lambda: (at / "munge.socket").exists(), "munged")
        for name in self.names:
            self.start_node(name)
        self.wait_for_nodes()

    def start_node(self, name):
        """Also after its death; what it had in /tmp is then gone."""
        index = self.names.index(name)
        for left in (*(self.folder / f"tmp-{name}").iterdir(),
                     *(self.folder / "tmp").glob(f"ompi.{name}.*")):
            shutil.rmtree(left)
        node = Node(self.folder, name, f"10.77.0.{index + 2}", ["slurmd -D"])
        self.nodes[index:index + 1] = [node]
        self.head.run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns",
                      str(node.process.pid))
        self.head.run("ip", "link", "set", name, "master", "bridge", "up")
        node.run("ip", "addr", "add", f"{node.address}/24", "dev", "eth0")
        node.run("ip", "link", "set", "eth0", "up")
        node.connected()

    def repair(self):
        """Nodes that died, cables that were cut and limits."""
        for node in list(self.nodes):
            if node.process.poll() is not None:
                self.start_node(node.name)
            self.cut(node.name, up=True)
        self.limit(None)
        self.wait_for_nodes()

    def wait_for_nodes(self):
        self.wait(lambda: self.call("sinfo", "-h", "-N", "-o", "%T").stdout.split()
                  == ["idle"] * len(self.names), "idle nodes")

    def wait(self, done, what):
        deadline = time.monotonic() + HANGS
        while not done():
            if time.monotonic() > deadline:
                logs = "".join(f"== {log}\n{log.read_text()[-2000:]}" for log in
                               sorted(self.folder.glob("*.log")))
                raise TimeoutError(f"no {what} within {HANGS} s\n{logs}")
            time.sleep(0.05)

    def call(self, *words, **how):
        """On the head node, as a user at a login node."""
        return subprocess.run(self.head.inside(*words), capture_output=True, text=True, check=False,
                              env={**os.environ, **self.environment}, **how)

    def cut(self, name, up=False):
        """Cuts a node's cable: nothing arrives any more, and no connection is closed."""
        self.head.run("ip", "link", "set", name, "up" if up else "down")

    def limit(self, rate):
        """What every node sends, in tc's words ("100mbit"); None = no limit."""
        qdisc = ["tbf", "rate", rate, "burst", "64kb", "latency", "500ms"] if rate else ["noqueue"]
        for node in self.nodes:
            node.run("tc", "qdisc", "replace", "dev", "eth0", "root", *qdisc)

    def down(self):
        for node in [*self.nodes, self.head]:
            if node is not None and node.process.poll() is None:
                node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    words = sys.argv[1:]
    count = 2
    if words[:1] == ["-n"]:
        count, words = int(words[1]), words[2:]
    why_not = missing()
    if why_not:
        sys.exit(f"cluster.py: {why_not}")
    cluster = Cluster(count)
    try:
        print(f"cluster.py: {', '.join(cluster.names)} are up; logs are in {cluster.folder}",
              file=sys.stderr)
        sys.exit(subprocess.run(cluster.head.inside(*(words or ["bash"])), check=False,
                                env={**os.environ, **cluster.environment}).returncode)
    finally:
        cluster.down()


if __name__ == "__main__":
    main()
