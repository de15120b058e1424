"""What one manager knows of the others."""

import time

import pytest

from conftest import MANAGER_NAMESPACE, wait_until
from links import Link, manager_pods, target_of
from test_links import PROHIBITED, ask_tcp, fresh_name
from test_security import user

WITHIN = 5  # seconds from when a pod has its address


def scale(chart, count):
    chart.kubectl("scale", "deployment/tp-manager", "-n", MANAGER_NAMESPACE,
                  f"--replicas={count}")  # fmt: skip


@pytest.fixture
def links(chart, apps):
    """So many that each of two managers has some; and two managers again."""
    wait_until("two managers", lambda: len(manager_pods(chart)) == 2, 60)
    anna = target_of(user("dev-anna", "developers"))
    opened = [Link(anna, "--name", fresh_name()) for _ in range(12)]
    yield opened
    for link in opened:
        link.close()
    scale(chart, 2)
    wait_until("two managers", lambda: len(manager_pods(chart)) == 2, 90)


def test_a_new_replica_is_denied_within_seconds(chart, links):
    """On every link, hence by every manager; it need not be ready for that."""
    known = {p["status"]["podIP"] for p in manager_pods(chart)}
    scale(chart, 3)

    def find():
        return {p["status"]["podIP"] for p in manager_pods(chart)} - known

    wait_until("the third one has an address", find, 60, 0.1)
    address = find().pop()
    start = time.monotonic()
    wait_until("it is denied everywhere",
               lambda: {ask_tcp(link, address, 8443) for link in links} == {PROHIBITED},
               WITHIN, 0.1)  # fmt: skip
    print(f"denied after {time.monotonic() - start:.1f} s")
