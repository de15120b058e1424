"""What takes a minute or more by its nature, all at once.

The links and the download are started by the first test that asks; the tests
then wait for the same clock.
"""

import subprocess
import time

import pytest

from conftest import E2E, MANAGER_NAMESPACE, NAMESPACE, run, start_joined, wait_until
from links import Link, metric, target_of
from test_links import fresh_name
from test_security import GROUP, user

LINKS = 100
WAIT = 92  # s; the API server counts a request that is not exempt after 60


def api_metrics(cluster, name):
    text = cluster.kubectl("get", "--raw", "/metrics").stdout
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
            for line in text.splitlines() if line.startswith(name)}  # fmt: skip


def seats(cluster):
    return sum(api_metrics(cluster, "apiserver_flowcontrol_current_executing_seats").values())


class Waiting:
    """All that runs while the clock does."""

    def __init__(self, cluster):
        self.cluster = cluster
        anna = user("dev-anna", "developers")
        self.box = None
        self.start_download()
        target = target_of(anna)
        self.silent = Link(target, "--name", fresh_name(), "--hello", "none")
        self.links = [
            Link(target, "--name", fresh_name(), *(["--websocket"] if i % 10 == 0 else []))
            for i in range(LINKS)
        ]
        self.began = time.monotonic()
        self.unbound = self.began
        cluster.kubectl("delete", "rolebinding", "tp-e2e-leaver", "-n", NAMESPACE)

    def start_download(self):
        """By a user whose right is taken away as soon as all is running."""
        self.cluster.kubectl("create", "rolebinding", "tp-e2e-leaver", "-n", NAMESPACE,
                             "--clusterrole=tp-user", "--user=leaver", check=False)  # fmt: skip
        leaver = user("leaver")
        leaver.tp("connect", "--name", f"{E2E}-leaver", "-n", NAMESPACE)
        self.box = start_joined(f"{E2E}-leaver-box", daemon=f"{E2E}-leaver")
        self.download = subprocess.Popen(
            ["docker", "exec", self.box.name, "curl", "-sS", "--limit-rate", "5M",
             "-o", "/dev/null", "http://web/bytes/1000000000"],
            stderr=subprocess.PIPE, text=True)  # fmt: skip
        time.sleep(1)
        assert self.download.poll() is None

    def until(self, seconds):
        time.sleep(max(0, self.began + seconds - time.monotonic()))

    def end(self):
        for link in [*self.links, self.silent]:
            link.close()
        self.download.kill()
        run(["docker", "rm", "-f", self.box.name], check=False)
        self.cluster.tp("quit", "--name", f"{E2E}-leaver", check=False)


@pytest.fixture(scope="module")
def waiting(chart, apps):
    w = Waiting(chart)
    yield w
    w.end()


def test_100_links_take_no_seats_of_the_api_server(waiting, chart):
    assert [link.opening for link in waiting.links] == ["open"] * LINKS
    # Requests of others pass by: the least of some looks counts.
    assert min(seats(chart) for _ in range(5)) <= 3
    assert metric(chart, "tp_links") >= LINKS


def test_a_link_without_hello_ends(waiting):
    waiting.until(22)
    assert waiting.silent.ask("idle 1").startswith("ended")


def test_a_right_that_is_taken_away_ends_the_download(waiting):
    """Asked for again each minute."""
    waiting.download.wait(80 - (time.monotonic() - waiting.began))
    assert waiting.download.returncode not in (0, None)

    def refused():
        status = waiting.cluster.status(f"{E2E}-leaver")
        return status.get("code") == "refused" and "connections" in status["error"]

    wait_until("status says why", refused, 30)


def test_idle_links_live(waiting):
    waiting.until(WAIT)
    assert [link.ask("request GET /tp/v1/info")[:3] for link in waiting.links] == ["200"] * LINKS


def test_no_request_of_ours_was_terminated(waiting, chart):
    waiting.until(WAIT)
    ended = api_metrics(chart, "apiserver_request_terminations_total")
    ours = {k: v for k, v in ended.items() if GROUP in k or '"connections"' in k}
    assert not {k for k in ours if 'code="504"' in k}, ours
