"""Who may do what: the processes, the mount, keys (SECURITY 10, 11, 17)."""
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from conftest import PROGRAM, RELEASE, wait_for
from servers import keygen


def status_of(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def sockets_of(pid):
    """The kinds of its sockets, from /proc/net."""
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(fd)
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    tcp = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    return [line for line in tcp.splitlines()
            if len(line.split()) > 9 and line.split()[9] in inodes]


def check_confined(m):
    threads = list(Path(f"/proc/{m.worker()}/task").iterdir())
    for thread in threads:
        worker = status_of(f"{m.worker()}/task/{thread.name}")
        assert int(worker["CapEff"], 16) == 0
        assert int(worker["CapPrm"], 16) == 0
        assert int(worker["CapBnd"], 16) == 0
        assert worker["Seccomp"] == "2"
        assert worker["Seccomp_filters"] == "2"
        assert worker["NoNewPrivs"] == "1"
    assert sockets_of(m.worker()) != []
    helper = status_of(m.process.pid)
    assert int(helper["CapEff"], 16) == 0
    assert int(helper["CapPrm"], 16) == 0
    assert sockets_of(m.process.pid) == []
    return len(threads)


def test_the_worker_is_confined(mount):
    check_confined(mount())


def test_the_worker_is_confined_with_ssh(mount, ssh_server):
    """As is the thread that SSH for bulk has."""
    m = mount(of=ssh_server)
    wait_for(lambda: check_confined(m) > 1, 10, "a thread of its own")


def test_confined_before_the_first_byte(mount, server, tmp_path):
    """strace of the worker: its filter is there before it has a socket."""
    log = tmp_path / "strace"
    point = tmp_path / "p"
    point.mkdir()
    tracer = subprocess.Popen(
        ["strace", "-f", "-o", log, "-e", "trace=socket,seccomp,prctl,mount",
         RELEASE, "-f", "-o", server.options(), f"127.0.0.1:{tmp_path}", point])
    try:
        wait_for(lambda: os.path.ismount(point), 20, "mounted")
    finally:
        subprocess.run(["fusermount3", "-u", point], check=False)
        tracer.wait(20)
    worker, seen = None, []
    for line in log.read_text().splitlines():
        pid, _, call = line.partition(" ")
        if "PR_SET_SECCOMP" in call:
            worker = pid
        if "AF_INET" in call:
            assert pid == worker, line
            seen.append(pid)
        if call.startswith("mount("):
            assert pid != worker
    assert seen


def test_nosuid_and_nodev_always(mount):
    m = mount("default_permissions")
    line = next(x for x in Path("/proc/self/mounts").read_text().splitlines()
                if str(m.point) in x)
    assert "nosuid" in line and "nodev" in line


@pytest.fixture
def as_distributed():
    """/dev/fuse is everybody's and fusermount3 is set-uid, as Debian has them;
    restored afterwards."""
    modes = {"/dev/fuse": 0o666, "/usr/bin/fusermount3": 0o4755}
    before = {path: os.stat(path).st_mode & 0o7777 for path in modes}
    for path, mode in modes.items():
        os.chmod(path, mode)
    yield
    for path, mode in before.items():
        os.chmod(path, mode)


def test_an_ordinary_user(server, as_distributed):
    """Without root: by fusermount3; confined as well."""
    nobody = pwd.getpwnam("nobody")
    base = Path(tempfile.mkdtemp())
    as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid,
               "extra_groups": [], "check": True}
    point, source, shown = base / "p", base / "s", base / "program"
    try:
        base.chmod(0o755)
        shutil.copy(PROGRAM, shown) # the tree may be root's alone
        for d in (point, source):
            d.mkdir()
            os.chown(d, nobody.pw_uid, nobody.pw_gid)
        (source / "a").write_text("a")
        subprocess.run([shown, "-o", server.options(), f"127.0.0.1:{source}",
                        point], **as_user)
        out = subprocess.run(["cat", point / "a"], **as_user,
                             capture_output=True)
        assert out.stdout == b"a"
        subprocess.run(["cp", point / "a", point / "b"], **as_user)
        for pid in children_of(shown):
            status = status_of(pid)
            assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
            assert status["Uid"].split() == [str(nobody.pw_uid)] * 4
        with pytest.raises(PermissionError): # nor does root see it
            os.listdir(point)
        subprocess.run(["fusermount3", "-u", point], **as_user)
        wait_for(lambda: not children_of(shown), 10, "the end")
        assert (source / "b").read_text() == "a"
    finally:
        subprocess.run(["umount", "-l", point], check=False,
                       stderr=subprocess.DEVNULL)
        shutil.rmtree(base, ignore_errors=True)


def children_of(program):
    """The processes that run it."""
    return [p.name for p in Path("/proc").iterdir() if p.name.isdigit() and
            (p / "cmdline").exists() and
            (p / "cmdline").read_bytes().startswith(bytes(program))]


def refused(options, source, point, user="root@"):
    out = subprocess.run([PROGRAM, "-o", options, f"{user}127.0.0.1:{source}",
                          point], capture_output=True, text=True, timeout=60,
                         env={**os.environ, "HOME": "/nonexistent"})
    assert out.returncode != 0 and not os.path.ismount(point)
    lines = [x for x in out.stderr.splitlines() if x.startswith("tp-mount: ")]
    assert len(lines) == 1, out.stderr
    return lines[0]


def test_another_host_key_is_refused(ssh_server, source, tmp_path):
    keygen(tmp_path / "foreign")
    foreign = " ".join((tmp_path / "foreign.pub").read_text().split()[:2])
    text = refused(ssh_server.options(host_key=foreign), source, tmp_path)
    assert "another key" in text


def test_an_unknown_host_is_refused(ssh_server, source, tmp_path):
    (tmp_path / "known").write_text("")
    options = (f"port={ssh_server.port},identity={ssh_server.directory}/key,"
               f"known_hosts={tmp_path}/known")
    assert "is not known" in refused(options, source, tmp_path)


def test_a_wrong_key_is_refused(ssh_server, source, tmp_path):
    text = refused(ssh_server.options(key="other_key"), source, tmp_path)
    assert "authentication" in text


@pytest.mark.parametrize("hashed", [False, True])
def test_known_hosts(mount, ssh_server, source, tmp_path, hashed):
    known = tmp_path / "known"
    known.write_text(f"# a comment\n[127.0.0.1]:{ssh_server.port} "
                     f"{ssh_server.host_key()}\n")
    if hashed:
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", known], check=True,
                       capture_output=True)

    class Known:
        user = "root@"

        @staticmethod
        def options():
            return (f"port={ssh_server.port},known_hosts={known},"
                    f"identity={ssh_server.directory}/key")

    (source / "a").write_text("a")
    assert (mount(of=Known).point / "a").read_text() == "a"


def test_a_fingerprint(mount, ssh_server, source):
    out = subprocess.run(["ssh-keygen", "-l", "-f",
                          ssh_server.directory / "host_key.pub"], text=True,
                         capture_output=True, check=True).stdout

    class Pinned:
        user = "root@"

        @staticmethod
        def options():
            return ssh_server.options(host_key=out.split()[1])

    assert os.listdir(mount(of=Pinned).point) == []


def test_a_key_from_memory(ssh_server, source, tmp_path):
    """-o identity_fd: no file has it, nor the command line."""
    (source / "a").write_text("a")
    read_end, write_end = os.pipe()
    os.write(write_end, (ssh_server.directory / "key").read_bytes())
    os.close(write_end)
    point = tmp_path / "p"
    point.mkdir()
    subprocess.run(
        [PROGRAM, "-o", f"port={ssh_server.port},identity_fd={read_end},"
         f"hostkey={ssh_server.host_key()}", f"root@127.0.0.1:{source}", point],
        pass_fds=[read_end], check=True)
    os.close(read_end)
    assert (point / "a").read_text() == "a"
    subprocess.run(["fusermount3", "-u", point], check=True)


BAD = [
    ([], "MOUNTPOINT"),
    (["host:/x"], "MOUNTPOINT"),
    (["host", "/"], "is not"),
    (["-o", "nonsense", "host:/", "/"], "unknown option"),
    (["-o", "timeout=0", "host:/", "/"], "bad value"),
    (["-o", "timeout", "host:/", "/"], "needs a value"),
    (["-o", "ro=1", "host:/", "/"], "takes no value"),
    (["-o", "directport=70000", "host:/", "/"], "bad value"),
    (["-o", "fd=0", "host:/", "/"], "bad value"),
    (["host:/", "/nonexistent/x"], "mountpoint"),
    (["-x"], "unknown option"),
    ([":/", "/"], "no host"),
]


@pytest.mark.parametrize("arguments,text", BAD)
def test_bad_input(arguments, text):
    out = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)
    assert out.returncode == 2
    assert text in out.stderr and len(out.stderr.splitlines()) == 1


def test_a_source_that_is_no_directory(server, source, tmp_path):
    (source / "a").touch()
    text = refused(server.options(), source / "a", tmp_path)
    assert "Not a directory" in text
    assert "No such file" in refused(server.options(), source / "b", tmp_path)


def shown(path):
    return oct(path.lstat().st_mode & 0o7777)


@pytest.fixture
def without_nosuid(tmp_path):
    """Another mount of the same files, as Docker's :ro makes it: nosuid and
    nodev are flags of one mount, and this one has them not."""
    made = []

    def bind(point):
        other = tmp_path / "other"
        other.mkdir()
        subprocess.run(["mount", "--bind", point, other], check=True)
        made.append(other)
        subprocess.run(["mount", "-o", "remount,bind,ro,suid,dev", other],
                       check=True)
        line = next(x for x in Path("/proc/self/mounts").open()
                    if f" {other} " in x)
        assert "nosuid" not in line and "nodev" not in line
        return other

    yield bind
    for other in made:
        subprocess.run(["umount", "-l", other], check=True)


def uid_in(program):
    out = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534",
                          "--clear-groups", program, "-u"],
                         capture_output=True, text=True, check=True)
    return int(out.stdout)


def test_setuid_never_works(mount, without_nosuid):
    """SECURITY 11, with no_setid, as the volume plugin mounts."""
    source = Path(tempfile.mkdtemp())
    os.chmod(source, 0o755)
    shutil.copy("/usr/bin/id", source / "id")
    os.chmod(source / "id", 0o6755)
    os.mknod(source / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    try:
        point = without_nosuid(mount("no_setid", path=source).point)
        assert uid_in(source / "id") == 0 # it would be root's
        assert uid_in(point / "id") == 65534
        assert os.listdir(point) == ["id"] and not (point / "null").exists()
        assert shown(point / "id") == "0o755"
    finally:
        shutil.rmtree(source)


def test_setid_bits_are_not_shown(mount, source):
    """By no way that a mode gets to the kernel; they are the server's still."""
    for name, mode in (("a", 0o6755), ("b", 0o4711), ("c", 0o2755),
                       ("s", 0o1644)):
        (source / name).touch()
        os.chmod(source / name, mode)
    (source / "d").mkdir()
    os.chmod(source / "d", 0o3775)
    point = mount("no_setid,attr_timeout=1").point
    assert {e.name: oct(e.stat().st_mode & 0o7777) for e in os.scandir(point)} \
        == {"a": "0o755", "b": "0o711", "c": "0o755", "s": "0o1644",
            "d": "0o3775"}
    with open(point / "a", "rb") as f:
        assert oct(os.fstat(f.fileno()).st_mode & 0o7777) == "0o755"
    fd = os.open(point / "new", os.O_CREAT | os.O_WRONLY, 0o4755)
    assert oct(os.fstat(fd).st_mode & 0o7777) == "0o755"
    os.fchmod(fd, 0o6711)
    assert oct(os.fstat(fd).st_mode & 0o7777) == "0o711"
    os.close(fd)
    assert shown(source / "new") == "0o6711" # what chmod(2) said
    os.chmod(source / "s", 0o4755) # while it is known
    wait_for(lambda: shown(point / "s") == "0o755", 10, "the new mode")
    os.link(point / "b", point / "e")
    os.rename(point / "b", point / "f")
    assert shown(point / "e") == shown(point / "f") == "0o711"
    assert shown(source / "f") == "0o4711"
