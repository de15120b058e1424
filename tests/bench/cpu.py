"""CPU time of the processes of tp and of the API server, read from the host's /proc.

Sampled, as some of them (tp-mount, tp-agent-sftp) end with what is measured: what they
use in their last tenth of a second is missing.
"""

import os
import pathlib
import threading

PROC = pathlib.Path("/proc")
TICK = os.sysconf("SC_CLK_TCK")
PROGRAMS = (
    "tp-mount", "tp-volume", "tp-daemon", "kube-apiserver", "tp-manager", "tp-agent",
    "tp-agent-sftp",
)  # fmt: skip


def read_ticks():
    """{(program, pid): user and system time, in ticks}"""
    table = {}
    for directory in PROC.glob("[0-9]*"):
        try:
            text = (directory / "stat").read_text()
        except OSError:
            continue
        name = text[text.index("(") + 1 : text.rindex(")")]
        if name in PROGRAMS:
            fields = text[text.rindex(")") + 2 :].split()
            table[name, directory.name] = int(fields[11]) + int(fields[12])
    return table


class Cpu(threading.Thread):
    """with Cpu() as cpu: ...; then cpu.seconds() by program."""

    def __init__(self, pause=0.1):
        super().__init__(daemon=True)
        self._pause = pause
        self._stop_now = threading.Event()
        self._begin = read_ticks()
        self._last = dict(self._begin)

    def run(self):
        while not self._stop_now.wait(self._pause):
            self._last.update(read_ticks())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._stop_now.set()
        self.join()
        self._last.update(read_ticks())

    def seconds(self):
        total = dict.fromkeys(PROGRAMS, 0.0)
        for key, ticks in self._last.items():
            total[key[0]] += (ticks - self._begin.get(key, 0)) / TICK
        return total
