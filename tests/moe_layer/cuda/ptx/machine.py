"""Threads of a grid, which execute a kernel's PTX: those at the same instruction at the same time, the ones
that are furthest behind first."""

import numpy as np

import operations
from memory import Access, SharedMemory, Who
from module import PtxError, short

WARP = 32
TOGETHER = 1 << 16  # threads
STEPS = 200_000  # instructions of one launch, after which it is said to hang
TICK = 100  # ns that the clock goes on at every look

STEERING = ("bra", "ret", "exit", "bar", "barrier", "shfl", "vote", "trap")


class Launch:
    def __init__(self, grid, block, shared_bytes, parameters):
        self.grid, self.block, self.shared_bytes = grid, block, shared_bytes
        self.parameters = parameters  # bytes of each

    @property
    def threads(self):
        return int(np.prod(self.block))

    @property
    def blocks(self):
        return int(np.prod(self.grid))


class Machine:
    """Some blocks of a launch, which run together."""

    def __init__(self, kernel, launch, device, first, blocks):
        self.kernel, self.launch, self.device = kernel, launch, device
        self.parameters = dict(zip(kernel.parameters, launch.parameters))
        per, self.size = launch.threads, launch.threads * blocks
        self.thread = (first * per + np.arange(self.size)).astype(np.int32)
        self.block = self.thread // per
        self.local = self.block - first
        self.lane = self.thread % per % WARP
        self.warp = self.local * -(-per // WARP) + self.thread % per // WARP
        self.epoch = np.zeros(blocks, np.int32)  # barriers that a block has passed
        self.exited, self.at_barrier = np.zeros(blocks, np.int64), np.zeros(blocks, np.int64)
        self.shared = SharedMemory(kernel.shared_bytes + launch.shared_bytes, blocks)
        self.registers = {}
        self.everyone = np.arange(self.size)
        self.operations = kernel.operations

    # What operations ask for. `at` are threads: indices, or a slice that means all.
    def count(self, at):
        return self.size if isinstance(at, slice) else len(at)

    def write(self, register, at, values):
        if isinstance(at, slice):
            self.registers[register] = values
            return
        if register not in self.registers:
            self.registers[register] = np.zeros(self.size, values.dtype)
        self.registers[register][at] = values

    def special(self, name, at):
        if name in ("%globaltimer", "%clock64"):
            self.device.clock += TICK
            return np.full(self.count(at), self.device.clock, np.uint64)
        if name == "%laneid":
            return self.lane[at]
        if name == "%warpid":
            return self.thread[at] % self.launch.threads // WARP
        kind, axis = name[1:].split(".")
        axis = "xyz".index(axis)
        size = self.launch.block if kind in ("tid", "ntid") else self.launch.grid
        if kind in ("ntid", "nctaid"):
            return np.full(self.count(at), size[axis])
        number = self.thread[at] % self.launch.threads if kind == "tid" else self.block[at]
        return number // int(np.prod(size[:axis])) % size[axis]

    def shared_begin(self, name):
        begin, alignment = self.kernel.shared[name]
        return begin if begin >= 0 else -(-self.kernel.shared_bytes // alignment) * alignment

    def memory(self, space):
        return self.device if space == "global" else self.shared

    def at(self, space, address, at):
        return address if space == "global" else self.shared.of_blocks(address, self.local[at])

    def who(self, at):
        return Who(self.thread[at], self.block[at], self.epoch[self.local[at]])

    # How threads go on.
    def run(self):
        """Every thread to its end."""
        self.ready = {0: [self.everyone]}  # index of an instruction -> threads that are there
        self.waiting = {}  # the same, of those at a barrier, or at a shuffle for which lanes lack
        steps = 0
        while self.ready:
            index = min(self.ready)
            threads = self.ready.pop(index)
            threads = threads[0] if len(threads) == 1 else np.concatenate(threads)
            others = min(self.ready, default=len(self.kernel.code))
            while len(threads) and index < others:
                steps += 1
                if steps > STEPS:
                    raise self.error(index, threads[0], "it does not end")
                index, threads = self.step(index, threads)
                others = min(self.ready, default=len(self.kernel.code))
            if len(threads):
                if index == len(self.kernel.code):
                    raise self.error(index - 1, threads[0], "it runs past its end")
                self.ready.setdefault(index, []).append(threads)
        for index, threads in self.waiting.items():
            raise self.error(index, threads[0], f"{len(threads)} threads wait for ever")

    def error(self, index, thread, problem):
        code, per = self.kernel.code[index], self.launch.threads
        number = int(self.thread[thread])
        return PtxError(f"{short(self.kernel.name)}, block {number // per}, thread {number % per}, PTX line "
                        f"{code.line} ({code.text}): {problem}")

    def step(self, index, threads):
        """Executes an instruction; returns where these threads go on, some may have left."""
        code = self.kernel.code[index]
        active, rest = threads, threads[:0]
        if code.guard:
            mask = self.registers[code.guard][threads] == code.guarded_by
            active, rest = threads[mask], threads[~mask]
        if not len(active):
            return index + 1, threads
        self.kernel.executed.add(index)
        operation = self.operations[index]
        if operation is None:
            return self.steer(index, code, active, rest)
        try:
            operation(self, slice(None) if len(active) == self.size else active)
        except Access as access:
            raise self.error(index, active[access.thread], access) from access
        except ZeroDivisionError as zero:
            raise self.error(index, active[0], "it divides by zero") from zero
        except KeyError as unset:
            raise self.error(index, active[0], f"it reads register {unset} before any thread wrote it") from unset
        return index + 1, threads

    def steer(self, index, code, active, rest):
        kind = code.opcode.split(".")[0]
        if kind in ("bra", "ret", "exit"):
            if kind == "bra":
                self.ready.setdefault(code.target, []).append(active)
            else:
                np.add.at(self.exited, self.local[active], 1)
            return index + 1, rest
        if len(rest):
            self.ready.setdefault(index + 1, []).append(rest)
        if kind == "trap":
            raise self.error(index, active[0], "it traps")
        active = np.concatenate([self.waiting.pop(index, active[:0]), active])
        if code.opcode in ("bar.sync", "barrier.sync", "barrier.sync.aligned") and code.operands == ["0"]:
            return index + 1, self.pass_barrier(index, active)
        if code.opcode.startswith(("shfl.sync.", "vote.sync.", "bar.warp.sync")):
            return index + 1, self.pass_warps(index, code, active)
        raise PtxError(f"PTX line {code.line}: the opcode {code.opcode} is not known: {code.text}")

    def pass_barrier(self, index, threads):
        """Those whose whole block is here; the others wait."""
        here = np.bincount(self.local[threads], minlength=len(self.epoch))
        wrong = self.exited[self.local[threads]] > 0
        if wrong.any():
            raise self.error(index, threads[wrong.argmax()], "threads of its block have left before this barrier")
        complete = here == self.launch.threads
        self.epoch[complete] += 1
        passes = complete[self.local[threads]]
        if not passes.all():
            self.waiting[index] = threads[~passes]
        return threads[passes]

    def pass_warps(self, index, code, threads):
        """Those whose mask's lanes are all here do it; the others wait."""
        def operand(text, dtype="u32"):
            return operations.reader(self.kernel, text, operations.DTYPES[dtype])(self, threads)
        mask = operand(code.operands[-1])
        bit = np.uint32(1) << self.lane[threads].astype(np.uint32)
        if (mask & bit == 0).any():
            raise self.error(index, threads[(mask & bit == 0).argmax()], "its lane is not in its own mask")
        here = np.zeros(int(self.warp.max()) + 1, np.uint32)
        np.bitwise_or.at(here, self.warp[threads], bit)
        passes = here[self.warp[threads]] & mask == mask
        if not passes.all():
            self.waiting[index] = threads[~passes]
        if passes.any() and code.opcode != "bar.warp.sync":
            values = [operand(text, "pred" if code.opcode.startswith("vote") else "u32")[passes]
                      for text in code.operands[1:-1]]
            exchange = self.shuffle if code.opcode.startswith("shfl") else self.vote
            exchange(index, code, threads[passes], mask[passes], *values)
        return threads[passes]

    def shuffle(self, index, code, threads, mask, value, b, c):
        """As the PTX manual's pseudocode."""
        lane = self.lane[threads].astype(np.int64)
        b, bound, segment = b.astype(np.int64), (c & 31).astype(np.int64), (c >> 8 & 31).astype(np.int64)
        most = lane & segment | bound & ~segment & 31
        least = lane & segment
        how = code.opcode.split(".")[2]
        source = {"up": lane - b, "down": lane + b, "bfly": lane ^ b, "idx": least | b & ~segment & 31}[how]
        inside = source >= most if how == "up" else source <= most
        source = np.where(inside, source, lane)
        wrong = mask.astype(np.int64) >> source & 1 == 0
        if wrong.any():
            raise self.error(index, threads[wrong.argmax()], "it reads from a lane that is not in the mask")
        lanes = np.zeros((int(self.warp.max()) + 1, WARP), np.uint32)
        lanes[self.warp[threads], self.lane[threads]] = value
        to, _, predicate = code.operands[0].partition("|")
        self.write(to, threads, lanes[self.warp[threads], source])
        if predicate:
            self.write(predicate, threads, inside)

    def vote(self, _index, code, threads, mask, value):
        bits = np.zeros(int(self.warp.max()) + 1, np.uint32)
        np.bitwise_or.at(bits, self.warp[threads],
                         np.where(value, np.uint32(1) << self.lane[threads].astype(np.uint32), np.uint32(0)))
        ballot = bits[self.warp[threads]] & mask
        how = code.opcode.split(".")[2]
        result = {"ballot": ballot, "any": ballot != 0, "all": ballot == mask}[how]
        self.write(code.operands[0], threads, result)


def run_kernel(kernel, launch, device):
    """All blocks of a launch, as many together as there is room for."""
    if [len(part) for part in launch.parameters] != list(kernel.parameters.values()):
        raise PtxError(f"{kernel.name} takes parameters of other sizes")
    if launch.threads > 1024 or min(*launch.grid, *launch.block) < 1:
        raise PtxError(f"{kernel.name} cannot be launched so: {launch.grid} blocks of {launch.block}")
    if kernel.operations is None:
        kernel.operations = [None if code.opcode.split(".")[0] in STEERING else operations.operation(kernel, code)
                             for code in kernel.code]
    device.begin_launch()
    together = max(TOGETHER // launch.threads, 1)
    with np.errstate(all="ignore"):
        for first in range(0, launch.blocks, together):
            Machine(kernel, launch, device, first, min(together, launch.blocks - first)).run()
