"""Resident memory of tp-daemon and the managers, read from the host's /proc.

Needs root and a Docker Engine on this machine; elsewhere there are no figures.
The kernel keeps the peak itself (VmHWM), so that none is missed.
"""

import pathlib
import threading
import time

from world import Failure, run

PROC = pathlib.Path("/proc")
FIELDS = ("VmRSS", "VmHWM", "RssAnon", "RssFile")
MIB = 1024 * 1024


def read_status(pid):
    """In bytes; None if the process is gone."""
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return None
    table = dict(line.split(":", 1) for line in lines if ":" in line)
    if any(field not in table for field in FIELDS):
        return None
    return {field: int(table[field].split()[0]) * 1024 for field in FIELDS}


def find(program, container):
    """Processes of that name in a container, or in one that it contains."""
    if not container:
        return []
    try:
        mark = run("docker", "inspect", "-f", "{{.Id}}", container).stdout.strip()
    except Failure:
        return []
    found = []
    for directory in PROC.glob("[0-9]*"):
        try:
            if (directory / "comm").read_text().strip() == program and mark in (
                directory / "cgroup"
            ).read_text():
                found.append(int(directory.name))
        except OSError:
            continue
    return sorted(found)


class Memory(threading.Thread):
    """Samples in the background, in bytes, by the process's name and number."""

    def __init__(self, world, pause=0.25):
        super().__init__(daemon=True)
        self.pids = {"tp-daemon": find("tp-daemon", world.daemon)}
        self.pids["tp-manager"] = find("tp-manager", world.node)
        self.samples = []
        self.before = self.peak = self.after = None
        self._pause = pause
        self._stop_now = threading.Event()
        self._begin = time.monotonic()

    def _read(self, field):
        table = {}
        for program, pids in self.pids.items():
            for number, pid in enumerate(pids):
                status = read_status(pid)
                table[f"{program}-{number}"] = status and status[field]
        return table

    def begin(self):
        for pids in self.pids.values():
            for pid in pids:  # 5: VmHWM begins anew
                try:
                    (PROC / str(pid) / "clear_refs").write_text("5")
                except OSError:
                    pass
        self.before = self._read("VmRSS")
        self.start()

    def run(self):
        while not self._stop_now.wait(self._pause):
            at = round(time.monotonic() - self._begin, 2)
            self.samples.append({"at": at, **self._read("VmRSS")})

    def end(self, idle):
        """After so many seconds of rest."""
        self.peak = self._read("VmHWM")
        time.sleep(idle)
        self._stop_now.set()
        self.join()
        self.after = self._read("VmRSS")

    def result(self):
        return {
            "before": self.before,
            "peak": self.peak,
            "after": self.after,
            "samples": self.samples,
        }
