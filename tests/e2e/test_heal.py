"""What dies comes back by itself, and status tells the truth meanwhile."""

import time

from conftest import DAEMON, NODE, run, wait_until


def fetch(box):
    return box.sh("curl -sS --max-time 3 http://web/", check=False).returncode == 0


def daemon_pid(program):
    out = run(["docker", "top", DAEMON, "-eo", "pid,comm"]).stdout
    for line in out.splitlines()[1:]:
        pid, comm = line.split(None, 1)
        if comm.strip() == program:
            return int(pid)
    return None


def test_kill_9_of_the_daemon(session, box):
    """The joined container lives on; its next connection works in 5 s."""
    before = daemon_pid("tp-daemon")
    run(["kill", "-9", str(before)])
    wait_until("the daemon is another process",
               lambda: daemon_pid("tp-daemon") not in (None, before), 5)
    wait_until("the joined container reaches the cluster", lambda: fetch(box), 10)
    assert session.status()["state"] == "connected"


COUNTER = """
table inet tp_e2e_count {
  chain out {
    type filter hook postrouting priority 300; policy accept;
    oifname "eth0" ip daddr { 10.42.0.0/16, 10.43.0.0/16 } counter
  }
}
"""


def in_daemon_netns(*args, **kwargs):
    pid = run(["docker", "inspect", "-f", "{{.State.Pid}}", DAEMON]).stdout.strip()
    return run(["nsenter", "-n", "-t", pid, *args], **kwargs)


def test_no_packet_leaves_another_way_while_the_daemon_is_dead(session, box):
    in_daemon_netns("nft", "-f", "-", input=COUNTER)
    try:
        box.sh(
            "(for i in $(seq 30); do curl -s --max-time 1 http://10.43.0.1/; "
            "sleep 0.1; done) >/dev/null 2>&1 &",
        )
        for _ in range(3):
            run(["kill", "-9", str(daemon_pid("tp-daemon"))], check=False)
            time.sleep(1)
        wait_until("healed", lambda: fetch(box), 15)
        counter = in_daemon_netns("nft", "list", "table", "inet", "tp_e2e_count")
        assert "counter packets 0 bytes 0" in counter.stdout
    finally:
        in_daemon_netns("nft", "delete", "table", "inet", "tp_e2e_count")


def kill_managers():
    """kill -9 of every manager, as the node's kernel would."""
    out = run(["docker", "top", NODE, "-eo", "pid,comm"]).stdout
    pids = [line.split()[0] for line in out.splitlines()[1:]
            if line.split()[1] == "tp-manager"]
    assert pids
    run(["kill", "-9", *pids])


def test_kill_9_of_every_manager(session, box):
    kill_managers()
    wait_until("status says that the link is gone",
               lambda: session.status()["state"] != "connected", 5, pause=0.05)
    wait_until("healed", lambda: session.status()["state"] == "connected", 20)
    assert fetch(box)


CUT = """
table inet tp_e2e_cut {
  chain out {
    type filter hook output priority 300; policy accept;
    tcp dport 6443 reject with tcp reset
  }
}
"""


def test_cut_link(session, box):
    """The link's connection is reset, and new ones refused for 3 s."""
    before = session.status()["link"]
    in_daemon_netns("nft", "-f", "-", input=CUT)
    try:
        wait_until("status says so",
                   lambda: session.status()["state"] != "connected", 30, 0.1)
        time.sleep(3)
        assert session.status()["state"] != "connected"
    finally:
        in_daemon_netns("nft", "delete", "table", "inet", "tp_e2e_cut")
    wait_until("healed", lambda: session.status()["state"] == "connected", 20)
    assert fetch(box)
    assert session.status()["link"]["reconnects"] > before["reconnects"]
