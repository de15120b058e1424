"""The work set of volumes: tp-mount beside sshfs (default and best options) and
a plain directory, at 0 and 20 ms of round trip, raw and over SSH.

Each operation has a fresh mount. Seconds are wall time of the operation up to
its last close; what tp-mount may still write behind is drained by the unmount
that is measured with it ("and unmount" in the JSON)."""
import argparse
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "mount"))
from servers import RawServer, SshServer  # noqa: E402

PROGRAM = os.environ["TP_MOUNT"]
BEST = ("kernel_cache,auto_cache,dcache_timeout=60,entry_timeout=60,"
        "attr_timeout=60,max_conns=4")
GCM = "Ciphers=aes128-gcm@openssh.com"


def run(command, **more):
    subprocess.run([str(c) for c in command], check=True, **more)


QUIET = {"stdout": subprocess.DEVNULL}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class World:
    """Data on a tmpfs, servers, relays."""

    def __init__(self, scale, delay):
        self.scale, self.delay = scale, delay
        self.dir = Path(tempfile.mkdtemp(prefix="tp-bench-"))
        run(["mount", "-t", "tmpfs", "tmpfs", self.dir])
        self.data, self.point = self.dir / "data", self.dir / "point"
        self.data.mkdir()
        self.point.mkdir()
        self.servers = {"raw": RawServer(), "ssh": SshServer(self.keys())}
        self.relays, self.ports = [], {}
        for kind, server in self.servers.items():
            self.ports[kind] = self.relay(server.port)
        self.fill()

    def keys(self):
        d = self.dir / "keys"
        d.mkdir(mode=0o700)
        return d

    def relay(self, port):
        if self.delay == 0:
            return port
        mine = free_port()
        relay = subprocess.Popen([self.dir.parent / "tp-mount-relay",
                                  str(mine), str(port), str(self.delay // 2)],
                                 stdout=subprocess.PIPE)
        relay.stdout.readline()
        self.relays.append(relay)
        return mine

    def fill(self):
        rng = random.Random(5)
        with open(self.data / "big", "wb") as f:
            for _ in range(int(200 * self.scale)):
                f.write(rng.randbytes(1 << 20))
        small = self.data / "s"
        small.mkdir()
        for i in range(int(2000 * self.scale)):
            (small / f"f{i:05}").write_text(f"line {i}\n")
        tree = self.data / "repo"
        tree.mkdir()
        for i in range(int(5000 * self.scale)):
            d = tree / f"d{i // 50:03}"
            d.mkdir(exist_ok=True)
            (d / f"f{i}").write_text(f"content {i}\n")
        git = ["git", "-C", tree, "-c", "user.name=b", "-c", "user.email=b@b"]
        run([*git, "init", "-q"])
        run([*git, "add", "-A"])
        run([*git, "commit", "-qm", "all"])
        run(["tar", "-C", tree, "--exclude=.git", "-cf", self.dir / "tree.tar",
             "."])

    def close(self):
        for relay in self.relays:
            relay.kill()
            relay.wait()
        for server in self.servers.values():
            server.close()
        run(["umount", "-l", self.dir])
        os.rmdir(self.dir)


class Directory:
    name = "directory"

    def start(self, world):
        run(["mount", "--bind", world.data, world.point])

    def stop(self, world):
        run(["umount", world.point])


class TpMount:
    def __init__(self, kind, options=""):
        self.name = f"tp-mount {kind}" + (f" {options}" if options else "")
        self.kind, self.options, self.peak = kind, options, 0

    def start(self, world):
        server = world.servers[self.kind]
        options = server.options().replace(
            str(server.port), str(world.ports[self.kind]), 1)
        if self.options:
            options += "," + self.options
        self.process = subprocess.Popen(
            [PROGRAM, "-f", "-o", options,
             f"{server.user}127.0.0.1:{world.data}", world.point])
        while not os.path.ismount(world.point):
            assert self.process.poll() is None
            time.sleep(0.005)

    def measure_peak(self):
        pid = self.process.pid
        worker = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
        for line in open(f"/proc/{worker}/status"):
            if line.startswith("VmHWM:"):
                self.peak = max(self.peak, int(line.split()[1]))

    def stop(self, world):
        self.measure_peak()
        run(["fusermount3", "-u", world.point])
        assert self.process.wait(120) == 0


class Sshfs:
    def __init__(self, kind, options="", name=""):
        self.name = f"sshfs {kind}" + (" " + name if name else "")
        self.kind, self.options = kind, options

    def start(self, world):
        server, port = world.servers[self.kind], world.ports[self.kind]
        if self.kind == "raw":
            options = f"directport={port}"
        else:
            options = (f"port={port},IdentityFile={server.directory}/key,"
                       "StrictHostKeyChecking=no,UserKnownHostsFile=/dev/null,"
                       "LogLevel=ERROR")
        if self.options:
            options += "," + self.options
        run(["sshfs", "-o", options,
             f"{server.user}127.0.0.1:{world.data}", world.point])

    def stop(self, world):
        run(["fusermount3", "-u", world.point])


def op_read(w):
    run(["dd", f"if={w.point}/big", "of=/dev/null", "bs=1M", "status=none"])


def op_write(w):
    run(["dd", f"if={w.data}/big", f"of={w.point}/new", "bs=1M", "conv=fsync",
         "status=none"])


def op_find(w):
    run(["find", w.point / "s", "-ls"], **QUIET)


def op_cat(w):
    run(["sh", "-c", f"cat {w.point}/s/*"], **QUIET)


def op_git(w):
    run(["git", "-C", w.point / "repo", "-c", "safe.directory=*", "status"],
        **QUIET)


def op_create(w):
    (w.point / "c").mkdir()
    for i in range(int(500 * w.scale)):
        (w.point / "c" / f"f{i}").write_bytes(b"x" * 1000)


def op_remove(w):
    (w.data / "r").mkdir()
    for i in range(int(500 * w.scale)):
        (w.data / "r" / f"f{i}").write_bytes(b"x")
    begin = time.monotonic()
    run(["rm", "-r", w.point / "r"])
    return time.monotonic() - begin


def op_random(w):
    rng = random.Random(9)
    size = (w.data / "big").stat().st_size
    fd = os.open(w.point / "big", os.O_RDONLY)
    for _ in range(int(2000 * w.scale)):
        os.pread(fd, 4096, rng.randrange(size - 4096) & ~4095)
    os.close(fd)


def op_untar(w):
    (w.point / "u").mkdir()
    run(["tar", "-C", w.point / "u", "-xf", w.dir / "tree.tar"])


def op_sqlite(w):
    n = int(100 * w.scale) or 1
    script = "create table t(i, x);" + "insert into t values(1, hex(5));" * n
    run(["sqlite3", w.point / "db"], input=script.encode())


def op_stat_beside_read(w):
    """The median stat of fresh names while a bulk read runs."""
    reader = threading.Thread(target=op_read, args=(w,))
    names = iter(os.listdir(w.data / "s"))
    times = []
    reader.start()
    while reader.is_alive():
        begin = time.monotonic()
        os.stat(w.point / "s" / next(names))
        times.append(time.monotonic() - begin)
        time.sleep(0.03)
    reader.join()
    return statistics.median(times)


OPERATIONS = {"read": op_read, "write": op_write, "find": op_find,
              "cat": op_cat, "git": op_git, "create": op_create,
              "remove": op_remove, "pread": op_random, "untar": op_untar,
              "sqlite": op_sqlite, "stat-beside-read": op_stat_beside_read}


def clean(world):
    for name in ("new", "c", "r", "u", "db"):
        path = world.data / name
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()


def measure(world, system, operation):
    system.start(world)
    begin = time.monotonic()
    try:
        seconds = OPERATIONS[operation](world)
        seconds = seconds or time.monotonic() - begin
    finally:
        before = time.monotonic()
        system.stop(world)
    clean(world)
    return seconds, time.monotonic() - before


def systems_for():
    """Default options are ssh's own cipher as well (chacha20-poly1305)."""
    return [Directory(), Sshfs("raw"), Sshfs("raw", BEST, "best"),
            TpMount("raw"), Sshfs("ssh"), Sshfs("ssh", GCM, "gcm"),
            Sshfs("ssh", BEST + "," + GCM, "best"), TpMount("ssh")]


def rounds(world, operation, delay, scale, a):
    """One sample of each system before the next: load moves all alike."""
    systems = [s for s in systems_for()
               if not (delay and isinstance(s, Directory))
               and a.systems in s.name]
    samples = {s: [] for s in systems}
    for _ in range(a.repeat20 if delay else a.repeat):
        for system in systems:
            samples[system].append(measure(world, system, operation))
    done = []
    for system, taken in samples.items():
        done.append({
            "delay_ms": delay, "scale": scale, "op": operation,
            "system": system.name,
            "seconds": statistics.median(t[0] for t in taken),
            "raw": [t[0] for t in taken], "unmount": [t[1] for t in taken],
            "rss_peak_kib": getattr(system, "peak", None)})
        print(delay, operation, system.name, f"{done[-1]['seconds']:.3f}",
              done[-1]["rss_peak_kib"] or "", flush=True)
    return done


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default=".")
    parser.add_argument("--scale0", type=float, default=1)
    parser.add_argument("--scale20", type=float, default=0.1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--repeat20", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--systems", default="", help="part of their names")
    parser.add_argument("--delays", default="0,20")
    a = parser.parse_args()
    relay = Path(tempfile.gettempdir()) / "tp-mount-relay"
    run(["cc", "-O2", "-pthread", "-o", relay, HERE / "mount_relay.c"])
    results = []
    for delay in map(int, a.delays.split(",")):
        scale = a.scale0 if delay == 0 else a.scale20
        world = World(scale, delay)
        try:
            for operation in a.only.split(",") if a.only else OPERATIONS:
                results += rounds(world, operation, delay, scale, a)
                # What was measured is there even if it is interrupted.
                (Path(a.out) / "mount.json").write_text(
                    json.dumps(results, indent=1))
        finally:
            world.close()
    report(results, Path(a.out))


def ratio(theirs, ours):
    """The median of the rounds' ratios."""
    return statistics.median(t / o for t, o in zip(theirs, ours))


def report(results, out):
    (out / "mount.json").write_text(json.dumps(results, indent=1))
    taken = {(r["delay_ms"], r["op"], r["system"]): r["raw"]
             for r in results}
    lines = []
    for delay, op, system in taken:
        if not system.startswith("tp-mount"):
            continue
        kind = system.split()[1]
        others = [s for d, o, s in taken if (d, o) == (delay, op) and
                  s.startswith(f"sshfs {kind}")]
        ratios = {s: ratio(taken[delay, op, s], taken[delay, op, system])
                  for s in others}
        lines.append((delay, op, kind, ratios[f"sshfs {kind}"]))
        print(f"{delay} ms {op} {kind}: " +
              ", ".join(f"{r:.2f} x {s}" for s, r in ratios.items()))
    data = out / "mount.dat"
    ops = list(dict.fromkeys(op for _, op, _, _ in lines))
    columns = list(dict.fromkeys((d, k) for d, _, k, _ in lines))
    table = {(d, op, k): r for d, op, k, r in lines}
    with open(data, "w") as f:
        f.write("op " + " ".join(f"\"{d} ms {k}\"" for d, k in columns) + "\n")
        for op in ops:
            f.write(op + " " + " ".join(f"{table[d, op, k]:.3f}"
                                        for d, k in columns) + "\n")
    script = (f"set terminal pngcairo size 1100,600; set output "
              f"'{out}/mount.png'; set style data histogram; set style fill "
              f"solid; set logscale y; set ylabel 'times faster than sshfs "
              f"3.7 default'; set xtics rotate by -30; set grid y; plot for "
              f"[i=2:{len(columns) + 1}] '{data}' using i:xtic(1) title "
              "columnheader(i), 1 with lines lc black notitle")
    subprocess.run(["gnuplot", "-e", script], check=False)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    main()
