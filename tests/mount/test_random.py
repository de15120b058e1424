"""Random operations on a mount and on a local directory, which must agree
(in the manner of fsx). TP_MOUNT_SECONDS=600 for the long run."""
import mmap
import os
import random
import time

import pytest

SECONDS = float(os.environ.get("TP_MOUNT_SECONDS", "60"))
LARGEST = 600 * 1024
FILES = 4


class Pair:
    """One file here (mount) and there (the model), open in several ways."""

    def __init__(self, here, there, rng):
        self.here, self.there, self.rng = here, there, rng
        self.fds = []
        for path in (here, there):
            os.close(os.open(path, os.O_CREAT | os.O_RDWR))

    def size(self):
        return os.stat(self.there).st_size

    def both(self, function):
        one, two = function(self.here), function(self.there)
        assert one == two, (function, str(one)[:200], str(two)[:200])

    def span(self):
        at = self.rng.randrange(LARGEST)
        most = self.rng.choice([16, 4096, 70000, 300000])
        return at, self.rng.randrange(1, min(most, LARGEST - at) + 1)

    def write(self):
        at, n = self.span()
        data = self.rng.randbytes(n)

        def do(path):
            with open(path, "r+b", buffering=0) as f:
                f.seek(at)
                return f.write(data)
        self.both(do)

    def write_pieces(self):
        """Through one handle, interleaved with reads through another."""
        spans = [self.span() for _ in range(self.rng.randrange(2, 12))]
        data = [self.rng.randbytes(n) for _, n in spans]

        def do(path):
            seen = []
            with open(path, "r+b", buffering=0) as f, \
                    open(path, "rb", buffering=0) as g:
                for (at, _), piece in zip(spans, data):
                    f.seek(at)
                    f.write(piece)
                    g.seek(max(0, at - 100))
                    seen.append(g.read(len(piece) + 200))
            return seen
        self.both(do)

    def append(self):
        data = self.rng.randbytes(self.rng.randrange(1, 9000))
        if self.size() > LARGEST:
            return

        def do(path):
            with open(path, "ab") as f:
                return f.write(data)
        self.both(do)

    def read(self):
        at, n = self.span()

        def do(path):
            with open(path, "rb", buffering=0) as f:
                f.seek(at)
                return f.read(n)
        self.both(do)

    def read_all(self):
        self.both(lambda path: open(path, "rb").read())

    def truncate(self):
        n = self.rng.choice([0, self.rng.randrange(LARGEST), self.size()])
        self.both(lambda path: os.truncate(path, n))

    def rewrite(self):
        data = self.rng.randbytes(self.rng.randrange(100000))

        def do(path):
            with open(path, "wb") as f:
                return f.write(data)
        self.both(do)

    def mapped(self):
        size = self.size()
        if size == 0:
            return
        at = self.rng.randrange(size)
        data = self.rng.randbytes(min(size - at, 5000))

        def do(path):
            with open(path, "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
                before = m[at:at + len(data)]
                m[at:at + len(data)] = data
                return before
        self.both(do)

    def stat(self):
        self.both(lambda path: os.stat(path).st_size)

    def sync(self):
        def do(path):
            with open(path, "r+b") as f:
                os.fsync(f.fileno())
        self.both(do)

    def replace(self):
        data = self.rng.randbytes(self.rng.randrange(50000))

        def do(path):
            with open(str(path) + ".new", "wb") as f:
                f.write(data)
            os.rename(str(path) + ".new", path)
        self.both(do)

    def remove(self):
        def do(path):
            os.unlink(path)
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR))
        self.both(do)


STEPS = ["write"] * 6 + ["write_pieces"] * 3 + ["read"] * 6 + [
    "append", "read_all", "truncate", "rewrite", "mapped", "mapped", "stat",
    "sync", "replace", "remove"]


@pytest.mark.parametrize("options,share", [("", .7), ("strict", .15),
                                           ("async_names", .15)])
def test_random(mount, source, tmp_path, options, share):
    seed = int(os.environ.get("TP_MOUNT_SEED", time.time_ns() % 10**9))
    print(f"TP_MOUNT_SEED={seed}")
    rng = random.Random(seed)
    m = mount(options)
    model = tmp_path / "model"
    model.mkdir()
    pairs = [Pair(m.point / f"f{i}", model / f"f{i}", rng)
             for i in range(FILES)]
    end = time.monotonic() + SECONDS * share
    count = 0
    while time.monotonic() < end:
        getattr(rng.choice(pairs), rng.choice(STEPS))()
        count += 1
    assert m.unmount() == 0, m.text()
    for i in range(FILES):
        assert (source / f"f{i}").read_bytes() == \
            (model / f"f{i}").read_bytes()
    print(f"{count} operations")
