"""A manager that is replaced cuts no connection that still runs."""

import subprocess
import time

from conftest import MANAGER_NAMESPACE, roll_managers, wait_until

SIZE = 100 << 20
RATE = 4 << 20  # bytes a second: 25 s; what lies in buffers is 4 s of it


def manager_names(cluster, ending):
    pods = cluster.kubectl_json("get", "pods", "-n", MANAGER_NAMESPACE, "-l",
                                "app.kubernetes.io/name=tp-manager")["items"]  # fmt: skip
    return {p["metadata"]["name"] for p in pods
            if bool(p["metadata"].get("deletionTimestamp")) == ending}  # fmt: skip


def former_streams(cluster):
    return sum(link["streams"] for link in cluster.status()["formerLinks"])


def test_a_download_outlives_a_rollout_of_the_managers(session, box):
    """25 s, of which the last 15 are after the old managers were told to end."""
    fetch = f"curl -sS --fail {{}} http://web/bytes/{SIZE} | sha256sum"
    expected = box.out(fetch.format(""))
    old = manager_names(session, False)
    start = time.monotonic()
    slow = subprocess.Popen(
        ["docker", "exec", "-i", box.name, "bash", "-o", "pipefail", "-c",
         fetch.format(f"--limit-rate {RATE}")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    try:
        time.sleep(2)
        roll_managers(session, 60)
        wait_until("all old managers were told to end",
                   lambda: not old & manager_names(session, False), 15)  # fmt: skip
        told = time.monotonic()
        assert former_streams(session) >= 1
        assert session.status()["state"] == "connected"
        assert box.sh("curl -sS --max-time 5 http://web/", check=False).returncode == 0
        out, _ = slow.communicate(timeout=90)
    finally:
        slow.kill()
    ended = time.monotonic()
    assert slow.returncode == 0, out
    assert out.strip() == expected
    assert ended - start > 20 and ended - told > 11, "too fast to show anything"
    wait_until("nothing is left of the former links",
               lambda: not session.status()["formerLinks"], 15)  # fmt: skip
    wait_until("nor of the old managers",
               lambda: not manager_names(session, True), 30)  # fmt: skip


def test_managers_without_connections_go_soon(session, box):
    """An idle session does not hold a rollout for the whole time-out."""
    assert box.sh("curl -sS http://web/").returncode == 0
    roll_managers(session, 60)
    wait_until("the old managers are gone", lambda: not manager_names(session, True), 25)
    assert session.status()["state"] == "connected"
