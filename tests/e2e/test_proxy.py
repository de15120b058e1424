"""tp connect --proxy, tp curl, tp serve: the host's programs reach the cluster
without root (SECURITY 12 and 13)."""

import json
import re
import socket
import struct
import subprocess
import time

import pytest

from conftest import DAEMON, E2E, NAMESPACE, TOOLS, TP, run, start_joined, wait_until

NAME = f"{E2E}-proxy"
WEB = f"web.{NAMESPACE}.svc.cluster.local"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Proxy:
    def __init__(self, cluster, port, said):
        self.cluster, self.port, self.said = cluster, port, said
        self.at = f"127.0.0.1:{port}"

    def curl(self, *args, check=True):
        return run(["curl", "-sS", "--max-time", "20", *args], check=check,
                   env={"PATH": "/usr/bin:/bin"})  # fmt: skip

    def talk(self, data, address=None):
        """What comes back, until the end; b"" if it is reset at once."""
        with socket.create_connection(address or ("127.0.0.1", self.port), 10) as s:
            s.settimeout(20)
            out = b""
            try:
                s.sendall(data)
                while got := s.recv(65536):
                    out += got
            except ConnectionError:
                pass
            return out


def connect(cluster, *flags):
    cluster.tp("quit", "--name", NAME, check=False)
    port = free_port()
    done = cluster.tp("connect", "--name", NAME, "-n", NAMESPACE, "--format", "json",
                      *[f.replace("PORT", str(port)) for f in flags])  # fmt: skip
    return Proxy(cluster, port, json.loads(done.stdout))


@pytest.fixture(scope="module")
def proxy(chart, apps):
    yield connect(chart, "--proxy", "PORT")
    chart.tp("quit", "--name", NAME, check=False)


def daemon_address(field="IPAddress"):
    form = f"{{{{range .NetworkSettings.Networks}}}}{{{{.{field}}}}} {{{{end}}}}"
    return run(["docker", "inspect", "-f", form, NAME]).stdout.split()[0]


# ---- what it is for ----


def test_status_shows_it(proxy):
    status = proxy.cluster.status(NAME)["proxy"]
    assert status["address"] == proxy.at and status["password"] is False
    assert proxy.said["proxy"]["pac"] == f"http://{proxy.at}/proxy.pac"
    assert proxy.at in proxy.cluster.tp("status", "--name", NAME).stdout


def test_only_the_loopback_is_published(proxy):
    ports = json.loads(run(["docker", "inspect", "-f",
                            "{{json .NetworkSettings.Ports}}", NAME]).stdout)  # fmt: skip
    assert set(ports) == {"61080/tcp", "61080/udp"}
    for bindings in ports.values():
        assert bindings == [{"HostIp": "127.0.0.1", "HostPort": str(proxy.port)}]


@pytest.mark.parametrize("name", ["web", f"web.{NAMESPACE}", WEB])
def test_socks(proxy, name):
    out = proxy.curl("--socks5-hostname", proxy.at, f"http://{name}/").stdout
    assert "web-" in out


@pytest.mark.parametrize("name", ["web", WEB])
def test_http_forward_and_connect(proxy, name):
    assert "web-" in proxy.curl("-x", f"http://{proxy.at}", f"http://{name}/").stdout
    assert "web-" in proxy.curl("-p", "-x", f"http://{proxy.at}", f"http://{name}/").stdout


def test_by_address(proxy):
    ip = proxy.cluster.kubectl("get", "svc", "web", "-n", NAMESPACE, "-o",
                               "jsonpath={.spec.clusterIP}").stdout  # fmt: skip
    assert "web-" in proxy.curl("--socks5", proxy.at, f"http://{ip}/").stdout


def test_failures_are_told_apart(proxy):
    head = ["-o", "/dev/null", "-w", "%{http_code}", "-x", f"http://{proxy.at}"]
    assert proxy.curl(*head, "http://nothing-there/").stdout == "502"
    assert proxy.curl(*head, "http://db:1/").stdout == "502"
    assert proxy.curl(*head, "http://192.0.2.1/").stdout == "403"


def query(name):
    labels = b"".join(bytes([len(p)]) + p.encode() for p in name.split("."))
    return struct.pack("!6H", 4711, 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"


def test_udp_associate_carries_a_dns_query(proxy):
    dns = proxy.cluster.status(NAME)["dns"]["address"]
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as s:
        s.sendall(b"\5\1\0")
        assert s.recv(2) == b"\5\0"
        s.sendall(b"\5\3\0\1" + bytes(6))
        answer = s.recv(10)
        assert answer[:4] == b"\5\0\0\1"
        assert answer[4:8] == bytes([127, 0, 0, 1])
        port = struct.unpack("!H", answer[8:10])[0]
        assert port == proxy.port
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
            u.settimeout(10)
            head = b"\0\0\0\1" + socket.inet_aton(dns) + struct.pack("!H", 53)
            u.sendto(head + query(WEB), ("127.0.0.1", port))
            data = u.recv(4096)
    assert data[:4] == b"\0\0\0\1" and data[4:8] == socket.inet_aton(dns)
    ident, flags, _, answers = struct.unpack("!4H", data[10:18])
    assert ident == 4711 and flags & 0x800F == 0x8000 and answers >= 1


def test_pac_file_leads_the_cluster_to_the_proxy(proxy):
    out = proxy.curl("-i", f"http://{proxy.at}/proxy.pac").stdout
    assert "application/x-ns-proxy-autoconfig" in out and "nosniff" in out
    assert "Access-Control" not in out
    assert f"PROXY {proxy.at}" in out and ".cluster.local" in out


# ---- one request a connection ----


@pytest.mark.parametrize("body", [
    b"Content-Length: 3\r\n\r\nabc",
    b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
], ids=["length", "chunked"])  # fmt: skip
def test_nothing_behind_a_body_passes(proxy, body):
    """The second request asks for another server, and would go to the first."""
    head = f"POST http://{WEB}/ HTTP/1.1\r\nHost: {WEB}\r\n".encode()
    second = b"GET http://db/second HTTP/1.1\r\nHost: db\r\n\r\n"
    assert proxy.talk(head + body + second).count(b"HTTP/1.1 ") == 1
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as s:
        s.settimeout(20)
        for part in (head, body[:-2], body[-2:] + second):
            s.sendall(part)
            time.sleep(0.3)
        out = b""
        try:
            while got := s.recv(65536):
                out += got
        except ConnectionError:
            pass
    assert out.count(b"HTTP/1.1 ") == 1


# ---- SECURITY 12: loopback ports are loopback ----

ATTACK = """
import socket, sys
for port in map(int, sys.argv[2:]):
    try:
        s = socket.create_connection((sys.argv[1], port), 3)
        s.settimeout(3)
        s.sendall(b"GET /proxy.pac HTTP/1.1\\r\\nHost: 127.0.0.1:%d\\r\\n\\r\\n" % port)
        print(port, len(s.recv(1000)))
    except OSError as e:
        print(port, 0)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(2)
try:
    u.sendto(b"\\0\\0\\0\\3\\3web\\0P0", (sys.argv[1], int(sys.argv[2])))
    print("udp", len(u.recv(1000)))
except OSError:
    print("udp", 0)
"""


def daemon_network():
    form = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"
    return run(["docker", "inspect", "-f", form, NAME]).stdout.split()[0]


def attack(address, ports, *flags, before="true"):
    out = run(["docker", "run", "--rm", "--cap-add", "NET_ADMIN", *flags, TOOLS, "bash", "-c",
               f'{before}; exec python3 -c "$0" "$@"', ATTACK, address,
               *map(str, ports)], timeout=90).stdout  # fmt: skip
    return dict(line.split() for line in out.splitlines())


def listening():
    """Every TCP port that something in the daemon's namespace listens on, but
    those that only its loopback reaches."""
    pid = run(["docker", "inspect", "-f", "{{.State.Pid}}", NAME]).stdout.strip()
    out = run(["nsenter", "-n", "-t", pid, "ss", "-Hltn"]).stdout
    ends = [line.split()[3].rsplit(":", 1) for line in out.splitlines()]
    return sorted({int(port) for ip, port in ends if not ip.startswith("127.")})


def test_a_container_on_the_bridge_gets_no_byte(proxy):
    ports = listening()
    assert 61080 in ports
    ports.remove(61080)
    got = attack(daemon_address(), [61080, *ports], "--network", daemon_network())
    assert set(got.values()) == {"0"}, got
    assert "web-" in proxy.curl("--socks5-hostname", proxy.at, "http://web/").stdout


def test_a_container_on_another_bridge_gets_no_byte(proxy):
    """Also with routes of its own making, to the daemon and to the host's
    loopback."""
    network = f"{E2E}-proxy-other"
    run(["docker", "network", "create", network])
    try:
        gateway = run(["docker", "network", "inspect", "-f",
                       "{{(index .IPAM.Config 0).Gateway}}", network]).stdout.strip()  # fmt: skip
        address = daemon_address()
        for target, port in ((address, 61080), ("127.0.0.1", proxy.port),
                             (gateway, proxy.port)):  # fmt: skip
            forged = f"ip route replace {target}/32 via {gateway} 2>/dev/null"
            for before in ("true", forged):
                got = attack(target, [port], "--network", network, before=before)
                assert set(got.values()) == {"0"}, (target, got)
    finally:
        run(["docker", "network", "rm", network])


def test_another_address_needs_a_password(chart):
    done = chart.tp("connect", "--name", f"{NAME}-wide", "-n", NAMESPACE, "--proxy",
                    f"0.0.0.0:{free_port()}", check=False)  # fmt: skip
    assert done.returncode != 0 and "--proxy-auth" in done.stderr
    assert run(["docker", "ps", "-aq", "--filter", f"name=^{NAME}-wide$"]).stdout == ""


# ---- SECURITY 13: web pages ----


@pytest.mark.parametrize("host", ["evil.test", "evil.test:PORT", "127.0.0.1",
                                  "localhost.evil.test:PORT", "127.0.0.1:1"])  # fmt: skip
def test_another_host_is_misdirected(proxy, host):
    host = host.replace("PORT", str(proxy.port))
    out = proxy.talk(f"GET /proxy.pac HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert out.startswith(b"HTTP/1.1 421 ") and b"cluster.local" not in out


@pytest.mark.parametrize("host", ["localhost", "[::1]", "127.0.0.1"])
def test_the_loopbacks_names_are_served(proxy, host):
    out = proxy.talk(
        f"GET /proxy.pac HTTP/1.1\r\nHost: {host}:{proxy.port}\r\n\r\n".encode()
    )
    assert out.startswith(b"HTTP/1.1 200 ")


def test_another_origin_gets_no_permission(proxy):
    for method, status in (("GET", b"200"), ("OPTIONS", b"405"), ("POST", b"405")):
        out = proxy.talk(
            f"{method} /proxy.pac HTTP/1.1\r\nHost: {proxy.at}\r\n"
            "Origin: http://evil.test\r\n\r\n".encode()
        )
        assert out.split()[1] == status
        assert b"access-control" not in out.lower() and b"nosniff" in out


def test_nothing_but_the_pac_file(proxy):
    out = proxy.talk(f"GET / HTTP/1.1\r\nHost: {proxy.at}\r\n\r\n".encode())
    assert out.startswith(b"HTTP/1.1 404 ")


def test_the_machine_itself_is_no_destination(proxy):
    gateway = daemon_address("Gateway")
    for there in ("127.0.0.1:22", "localhost:22", "[::1]:22", "0.0.0.0:22",
                  f"{daemon_address()}:61080", f"{gateway}:22",
                  "169.254.169.254:80", "[::ffff:127.0.0.1]:22"):  # fmt: skip
        out = proxy.talk(f"CONNECT {there} HTTP/1.1\r\nHost: {there}\r\n\r\n".encode())
        assert out.split()[1] in (b"403", b"502", b"400"), (there, out)
    for ip in ("127.0.0.1", gateway):
        out = proxy.talk(b"\5\1\0\5\1\0\1" + socket.inet_aton(ip) + b"\0\x16")
        assert out[:4] == b"\5\0\5\2", (ip, out)


# ---- a browser: Debian's chromium, headless ----

EVIL = """<!DOCTYPE html><body><script>
function tell(text) {{ document.body.append(document.createElement("p"), text) }}
for (const url of ["http://{at}/proxy.pac", "http://{at}/"])
  fetch(url).then(r => r.text()).then(t => tell("read: " + t), () => tell("blocked"));
</script></body>"""


def browse(proxy, tmp_path, url, *flags):
    return run(
        ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-dev-shm-usage", "--disable-background-networking",
         f"--user-data-dir={tmp_path}/profile", "--virtual-time-budget=8000",
         f"--proxy-pac-url=http://{proxy.at}/proxy.pac", *flags, "--dump-dom", url],
        timeout=120,
    ).stdout  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("name", ["web", WEB])
def test_chromium_loads_a_page_of_the_cluster(proxy, tmp_path, name):
    assert "web-" in browse(proxy, tmp_path, f"http://{name}/")


@pytest.mark.long
def test_in_chromium_another_origin_reads_nothing(proxy, tmp_path):
    """Neither as it is nor with its name turned to the proxy's address."""
    page = tmp_path / "www"
    page.mkdir()
    (page / "index.html").write_text(EVIL.format(at=proxy.at))
    port = free_port()
    server = subprocess.Popen(["python3", "-m", "http.server", "-b", "127.0.0.1", "-d",
                               str(page), str(port)], stderr=subprocess.DEVNULL)  # fmt: skip
    rebind = "--host-resolver-rules=MAP evil.test 127.0.0.1"
    try:
        wait_until("the page is there", lambda: proxy.curl(
            f"http://127.0.0.1:{port}/", check=False).returncode == 0, 10)  # fmt: skip
        dom = browse(proxy, tmp_path, f"http://evil.test:{port}/", rebind)
        shown = dom.split("</script>")[1]
        assert shown.count("blocked") == 2 and "read: " not in shown
        dom = browse(proxy, tmp_path, f"http://evil.test:{proxy.port}/proxy.pac", rebind)
        assert "not the name of this proxy" in dom and "cluster.local" not in dom
    finally:
        server.kill()
        server.wait()


# ---- a password ----


def test_password(chart, proxy):
    """Others of this machine have none; what was asked with is not passed on."""
    name = f"{NAME}-auth"
    port = free_port()
    try:
        done = chart.tp("connect", "--name", name, "-n", NAMESPACE, "--format", "json",
                        "--proxy", str(port), "--proxy-auth")  # fmt: skip
        login = json.loads(done.stdout)["proxy"]["login"]
        assert login["user"] == "tp" and re.fullmatch("[a-z2-7]{26}", login["password"])
        at, user = f"127.0.0.1:{port}", f"tp:{login['password']}"
        status = chart.tp("status", "--name", name, "--format", "json").stdout
        assert json.loads(status)["proxy"]["password"] is True
        assert login["password"] not in status
        assert login["password"] not in run(["docker", "inspect", name]).stdout
        for way in ("socks5h", "http"):
            for wrong in ("", f"{user}x@", "x" + user + "@"):
                done = proxy.curl("-x", f"{way}://{wrong}{at}", "-o", "/dev/null", "-w",
                                  "%{http_code}", "http://web/", check=False)  # fmt: skip
                assert done.stdout in ("000", "407"), (way, wrong)
            out = proxy.curl("-x", f"{way}://{user}@{at}", "http://web/").stdout
            assert "web-" in out
    finally:
        chart.tp("quit", "--name", name, check=False)


# ---- tp curl, tp serve ----


def test_tp_curl_needs_no_proxy(session):
    env = {"NO_PROXY": "*", "http_proxy": "http://127.0.0.1:1/"}
    out = session.tp("curl", "--name", DAEMON, "-sS", "http://web/", env=env).stdout
    assert "web-" in out
    done = session.tp("curl", "--name", DAEMON, "--", "-q", "-sS", "http://nothing-there/",
                      check=False)  # fmt: skip
    assert done.returncode != 0
    done = session.tp("curl", "--name", DAEMON, "-sS", "http://127.0.0.1/", check=False)
    assert done.returncode == 97  # the proxy's handshake: it is not the cluster's
    assert run(["bash", "-c", "ls -d /tmp/tp-curl.*"], check=False).stdout == ""


def test_tp_curl_carries_large_answers_and_many_at_once(session):
    urls = ["http://web/"] * 8
    out = session.tp("curl", "--name", DAEMON, "-sS", "-Z", *urls).stdout
    assert out.count("web-") >= 8


def test_tp_serve(session):
    env = {k: v for k, v in session.env.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    serve = subprocess.Popen([TP, "serve", "--name", DAEMON, "web:80"], env=env, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        url = serve.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
        for _ in range(3):
            assert "web-" in run(["curl", "-sS", "--max-time", "20", url]).stdout
    finally:
        serve.terminate()
        serve.wait(10)
    assert run(["curl", "-sS", "--max-time", "5", url], check=False).returncode == 7


@pytest.mark.parametrize("service, text", [
    ("nothing-there", "no such name"), ("db:1", "refused"), ("web:80x", "SERVICE[:PORT]"),
    ("127.0.0.1:22", "not in the cluster"),
])  # fmt: skip
def test_tp_serve_says_what_is_wrong(session, service, text):
    done = session.tp("serve", "--name", DAEMON, "--no-browser", service, check=False)
    assert done.returncode != 0 and text in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


# ---- ports that are taken ----


def test_a_taken_port_is_one_line_and_nothing_is_left(chart):
    name = f"{NAME}-taken"
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        done = chart.tp("connect", "--name", name, "-n", NAMESPACE, "--proxy", str(port),
                        check=False)  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert f"127.0.0.1:{port} is taken" in done.stderr
    assert run(["docker", "ps", "-aq", "--filter", f"name=^{name}$"]).stdout == ""


@pytest.mark.parametrize("flags, text", [
    (["--proxy", "80x"], "not a port"), (["--proxy", "0"], "not a port"),
    (["--proxy", "host:80"], "not an IP address"), (["--proxy", "::1:80"], "not an IP"),
    (["--proxy-auth"], "--proxy"),
])  # fmt: skip
def test_bad_flags(chart, flags, text):
    done = chart.tp("connect", "--name", f"{NAME}-bad", *flags, check=False)
    assert done.returncode != 0 and text in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_daemon_that_restarts_goes_on_without_a_port_that_is_taken(chart):
    """A joined container takes the proxy's port while tp-daemon is dead."""
    own = connect(chart, "--proxy", "PORT")
    box = start_joined(f"{E2E}-proxy-thief", daemon=NAME)
    thief = """
import socket, time
while True:
    try:
        s = socket.socket(socket.AF_INET6)
        s.bind(("::", 61080)); s.listen(); time.sleep(600)
    except OSError:
        pass
"""
    try:
        run(["docker", "exec", "-d", box.name, "python3", "-c", thief])
        time.sleep(1)
        pid = run(["docker", "inspect", "-f", "{{.State.Pid}}", NAME]).stdout.strip()
        for _ in range(10):
            run(["pkill", "-9", "-P", pid, "tp-daemon"])
            wait_until("connected again",
                       lambda: chart.status(NAME)["state"] == "connected", 30)  # fmt: skip
            if "error" in chart.status(NAME)["proxy"]:
                break
        assert "61080" in chart.status(NAME)["proxy"]["error"]
        assert "none: " in chart.tp("status", "--name", NAME).stdout
        assert "web-" in box.out("curl -sS --max-time 10 http://web/")
    finally:
        run(["docker", "rm", "-f", box.name], check=False)
        own.cluster.tp("quit", "--name", NAME, check=False)
