"""Memory as a GPU addresses it: allocations with gaps between them, of exactly the size that was asked for.
An access outside of all, a misaligned one, a read of what was never written and a write to an input are
errors; and so are two accesses that nothing orders (races)."""

import numpy as np

GRAIN = 2  # bytes: the unit in which races are followed; no kernel moves single bytes
JUNK = 0xCD
OUTSIDE, UNSET, SET, INPUT = range(4)  # what a byte is
STATES = ["outside of every allocation", "what nobody wrote", "what was written", "an input"]
NONE, SEVERAL = -1, -2


class Access(Exception):
    """A wrong access: what is wrong, and which of the threads that were given does it."""

    def __init__(self, problem, thread):
        super().__init__(problem)
        self.thread = thread


class Who:
    """Threads that access memory at the same time: their numbers in the grid, their blocks', and how many
    barriers these have passed."""

    def __init__(self, thread, block, epoch):
        self.thread, self.block, self.epoch = thread, block, epoch

    def repeated(self, times):
        return Who(*(np.tile(part, times) for part in (self.thread, self.block, self.epoch)))


class Trace:
    """Who accessed each unit of memory in one way since the launch began: a thread and its block, or that
    there were several. Within a block, what was before its last barrier is past."""

    def __init__(self, units):
        self.thread, self.block, self.epoch = (np.full(units, NONE, np.int32) for _ in range(3))

    def forget(self):
        self.block[:] = NONE

    def others(self, unit, who):
        """Whether another thread did, which no barrier separates from this one."""
        block = self.block[unit]
        near = (block == who.block) & (self.epoch[unit] == who.epoch) & (self.thread[unit] != who.thread)
        return near | ((block != NONE) & (block != who.block))

    def note(self, unit, who):
        """Returns whether two of these threads did so to one unit."""
        block = self.block[unit]
        several = (block == who.block) & (self.epoch[unit] == who.epoch) & (self.thread[unit] != who.thread)
        block = np.where((block == NONE) | (block == who.block), who.block, SEVERAL)
        thread = np.where(several, SEVERAL, who.thread)
        self.block[unit], self.thread[unit], self.epoch[unit] = block, thread, who.epoch
        clash = self.thread[unit] != thread
        self.thread[unit[clash]] = SEVERAL
        self.block[unit[self.block[unit] != who.block]] = SEVERAL
        return clash


class Memory:
    """`size` bytes of addresses from `base` on."""

    def __init__(self, name, base, size):
        self.name, self.base = name, base
        size = -(-size // 16) * 16
        self.bytes = np.full(size, JUNK, np.uint8)
        self.state = np.full(size, OUTSIDE, np.uint8)
        self.reads, self.writes, self.atomics = (Trace(size // GRAIN) for _ in range(3))

    def begin_launch(self):
        """What was before the launch is ordered before it."""
        for trace in (self.reads, self.writes, self.atomics):
            trace.forget()

    def offsets(self, address, width, count=1):
        """[count][thread] offsets of values of `width` bytes, side by side, that one access moves."""
        at = address.astype(np.uint64) - np.uint64(self.base)
        whole = width * count
        wrong = at >= np.uint64(len(self.bytes) - whole + 1)
        if wrong.any():
            raise Access(f"address {int(address[wrong][0]):#x} is outside of {self.name} memory", wrong.argmax())
        wrong = address.astype(np.uint64) % np.uint64(whole) != 0
        if wrong.any():
            raise Access(f"address {int(address[wrong][0]):#x} is no multiple of the access's {whole} bytes",
                         wrong.argmax())
        return at.astype(np.int64) + np.arange(0, whole, width)[:, None]

    def require(self, at, width, allowed, does):
        """Every byte is in one of the allowed states."""
        word = np.dtype(f"u{width}")
        words = self.state.view(word)[at // width]
        ones = word.type(int.from_bytes(bytes([1]) * width, "little"))
        if np.isin(words, [ones * word.type(state) for state in allowed]).all():
            return
        states = self.state[at + np.arange(width)[:, None, None]]  # [byte][value][thread]
        bad = ~np.isin(states, allowed).all(axis=(0, 1))
        if bad.any():
            first = bad.argmax()
            worst = min(set(states[:, :, first].reshape(-1)) - set(allowed))
            where = self.base + int(at[0, first])
            raise Access(f"it {does} {STATES[worst]}: {self.name} memory at {where:#x}", first)

    def follow(self, at, width, who, trace, against, what):
        units = [(at + byte).reshape(-1) // GRAIN for byte in range(0, width, GRAIN)]
        unit, all_of = np.concatenate(units), who.repeated(len(at) * len(units))
        for other, does in against:
            wrong = other.others(unit, all_of)
            if wrong.any():
                first = wrong.argmax()
                whose = int(other.thread[unit[first]])
                others = "several threads" if whose < 0 else f"thread {whose} of the grid"
                raise Access(f"a race: it {what} {self.name} memory at {self.base + int(unit[first]) * GRAIN:#x}, "
                             f"which {others} {does} without a barrier between", first % len(who.thread))
        clash = trace.note(unit, all_of)
        if trace is self.writes and clash.any():
            where = self.base + int(unit[clash.argmax()]) * GRAIN
            raise Access(f"a race: two threads write {self.name} memory at {where:#x} at once",
                         clash.argmax() % len(who.thread))

    def load(self, address, dtype, count, who):
        """[count][thread] values."""
        width = np.dtype(dtype).itemsize
        at = self.offsets(address, width, count)
        self.require(at, width, (SET, INPUT), "reads")
        self.follow(at, width, who, self.reads, [(self.writes, "writes"), (self.atomics, "adds to")], "reads")
        return self.bytes.view(dtype)[at // width]

    def store(self, address, values, who):
        """`values` are [count][thread]."""
        width = values.dtype.itemsize
        at = self.offsets(address, width, len(values))
        self.require(at, width, (UNSET, SET), "writes")
        self.follow(at, width, who, self.writes,
                    [(self.reads, "reads"), (self.writes, "writes"), (self.atomics, "adds to")], "writes")
        self.bytes.view(values.dtype)[at // width] = values
        self.state[at + np.arange(width)[:, None, None]] = SET

    def update(self, address, dtype, function, who):
        """Atomically value = function(value, thread) in the order of threads; returns the old values."""
        width = np.dtype(dtype).itemsize
        at = self.offsets(address, width)
        self.require(at, width, (SET,), "adds to")
        self.follow(at, width, who, self.atomics, [(self.reads, "reads"), (self.writes, "writes")], "adds to")
        values, old = self.bytes.view(dtype), np.empty(at.shape[1], dtype)
        for thread, place in enumerate(at[0] // width):
            old[thread] = values[place]
            values[place] = function(old[thread], thread)
        return old


class DeviceMemory(Memory):
    """What cudaMalloc and copies do."""

    GAP, ALIGNMENT = 512, 256

    def __init__(self, size):
        super().__init__("device", 0x7F0000000000, size)
        self.used = self.GAP
        self.allocated = {}  # address -> (dtype, shape)
        self.clock = 1_000_000  # ns; goes on when a thread looks

    def free_all(self):
        self.bytes[:self.used], self.state[:self.used] = JUNK, OUTSIDE
        self.used, self.allocated = self.GAP, {}

    def room(self, dtype, shape):
        """The address of memory that holds junk."""
        begin = -(-self.used // self.ALIGNMENT) * self.ALIGNMENT
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if begin + size + self.GAP > len(self.bytes):
            raise MemoryError("the device memory of this test is too small")
        self.used = begin + size + self.GAP
        self.state[begin:begin + size] = UNSET
        self.allocated[self.base + begin] = (np.dtype(dtype), shape)
        return self.base + begin

    def put(self, array, state=INPUT):
        """The address of a copy of an array, which kernels must not change unless `state` is SET."""
        array = np.ascontiguousarray(array)
        address = self.room(array.dtype, array.shape)
        begin = address - self.base
        self.bytes[begin:begin + array.nbytes] = array.reshape(-1).view(np.uint8)
        self.state[begin:begin + array.nbytes] = state
        return address

    def fill(self, address, value, size):
        """cudaMemset: all of it must be in allocations."""
        begin = address - self.base
        if size and not np.isin(self.state[begin:begin + size], (UNSET, SET)).all():
            raise Access("memory is set outside of every allocation", 0)
        self.bytes[begin:begin + size] = value
        self.state[begin:begin + size] = SET

    def get(self, address, rows=None):
        """The content of an allocation, or of its first rows, which kernels must have written. Nothing behind
        those may have been."""
        dtype, shape = self.allocated[address]
        shape = shape if rows is None else (rows, *shape[1:])
        begin, whole = address - self.base, int(np.prod(self.allocated[address][1])) * dtype.itemsize
        size = int(np.prod(shape)) * dtype.itemsize
        if (self.state[begin:begin + size] < SET).any():
            unset = int((self.state[begin:begin + size] < SET).argmax())
            raise AssertionError(f"byte {unset} of {size} was never written")
        if (self.state[begin + size:begin + whole] == SET).any():
            raise AssertionError("more rows were written than there are")
        return self.bytes[begin:begin + size].view(dtype).reshape(shape).copy()


class SharedMemory(Memory):
    """Of all blocks that run together, one behind the other with a gap; addresses are a block's own."""

    GAP = 256

    def __init__(self, per_block, blocks):
        self.stride = -(-per_block // 16) * 16 + self.GAP
        super().__init__("shared", 0, self.stride * blocks)
        self.state.reshape(blocks, self.stride)[:, :per_block] = UNSET

    def of_blocks(self, address, block):
        """Where the addresses of these blocks (counted from 0) lie."""
        address = address.astype(np.int64)
        wrong = address >= self.stride
        if wrong.any():
            raise Access(f"address {int(address[wrong][0]):#x} is outside of shared memory", wrong.argmax())
        return address + block.astype(np.int64) * self.stride
