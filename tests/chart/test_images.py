"""Images: how mkimage makes them, and those that tp ships."""

import hashlib
import io
import json
import os
import shutil
import tarfile

import pytest

from conftest import IMAGES, TOP, run

MKIMAGE = TOP / "docker/mkimage"
NAME = "tp-chart-test:1"


def mkimage(*args, **kwargs):
    return run(MKIMAGE, *args, **kwargs)


@pytest.fixture
def archive(tmp_path):
    """An image of two programs of this system, one of which looks names up."""
    path = tmp_path / "image.tar"
    mkimage("/usr/bin/getent", "/usr/bin/id", NAME, "/usr/bin/getent", path)
    return path


@pytest.fixture
def docker():
    if run("docker", "version", check=False).returncode != 0:
        pytest.skip("no Docker")
    yield
    run("docker", "image", "rm", "-f", NAME, check=False)


def parts(path):
    """The manifest, the configuration and the layer of an archive."""
    with tarfile.open(path) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))[0]
        config = tar.extractfile(manifest["Config"]).read()
        layer = tar.extractfile(manifest["Layers"][0]).read()
    return manifest, config, layer


def layer_files(layer):
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        return {m.name[2:]: m for m in tar.getmembers()}


def test_digests_are_true(archive):
    manifest, config, layer = parts(archive)
    assert manifest["RepoTags"] == [NAME]
    assert manifest["Config"] == hashlib.sha256(config).hexdigest() + ".json"
    digest = hashlib.sha256(layer).hexdigest()
    config = json.loads(config)
    assert config["rootfs"]["diff_ids"] == [f"sha256:{digest}"]
    assert config["config"]["Labels"]["internal.tp.build"] == digest
    assert config["config"]["Entrypoint"] == ["/usr/bin/getent"]


def test_nothing_tells_who_made_it_and_when(archive):
    _, _, layer = parts(archive)
    for name, member in layer_files(layer).items():
        assert (member.uid, member.gid, member.mtime) == (0, 0, 0), name
        assert not member.mode & 0o6000, name
        if not member.issym() and name != "tmp":
            assert not member.mode & 0o022, name


def test_the_same_programs_give_the_same_bytes(archive, tmp_path):
    again = tmp_path / "again.tar"
    elsewhere = tmp_path / "other place"
    elsewhere.mkdir()
    copies = []
    for program in ("getent", "id"):
        copies.append(elsewhere / program)
        shutil.copyfile(f"/usr/bin/{program}", copies[-1])
    old = os.umask(0o077)
    try:
        mkimage("-u", "", *copies, NAME, "/usr/bin/getent", again)
    finally:
        os.umask(old)
    assert again.read_bytes() == archive.read_bytes()


def test_it_holds_the_programs_and_what_they_need(archive):
    files = set(layer_files(parts(archive)[2]))
    assert {"usr/bin/getent", "usr/bin/id", "etc/passwd"} <= files
    assert any(f.endswith("libselinux.so.1") for f in files)  # of id alone
    assert any("/ld-linux" in f for f in files)
    assert not any(f.startswith("usr/share") for f in files)


@pytest.mark.parametrize(
    "args, reason",
    [
        (["/no/such", NAME, "/usr/bin/such"], "no such program"),
        (["/usr/bin/id", "notag", "/usr/bin/id"], "not NAME:TAG"),
        (["/usr/bin/id", 'a"b:1', "/usr/bin/id"], "not NAME:TAG"),
        (["/usr/bin/id", NAME, "/usr/bin/other"], "is not in the image"),
        (["/usr/bin/id", NAME, "id"], "must be an absolute path"),
        (["/usr/bin/id", NAME], "usage:"),
    ],
)
def test_refusals_leave_nothing_behind(tmp_path, args, reason):
    output = tmp_path / "x.tar"
    done = mkimage(*args, output, check=False)
    assert done.returncode != 0
    assert reason in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_docker_runs_it(archive, docker):
    run("docker", "load", "-q", "-i", archive)
    config = parts(archive)[1]
    found = run("docker", "image", "inspect", "-f", "{{.Id}}", NAME).stdout
    assert found.strip() == "sha256:" + hashlib.sha256(config).hexdigest()
    confined = [
        "docker", "run", "--rm", "--read-only", "--cap-drop=ALL",
        "--user=12345", "--network=none", "--add-host=far.test:192.0.2.7",
    ]  # fmt: skip
    done = run(*confined, NAME, "hosts", "far.test")
    assert done.stdout.split() == ["192.0.2.7", "far.test"]
    done = run(*confined, "--entrypoint=/usr/bin/id", NAME, "-u")
    assert done.stdout.strip() == "12345"


def shipped(name):
    path = IMAGES / f"{name}.tar"
    if not path.exists():
        pytest.skip(f"no {path}: run make images")
    return path


def load(path):
    run("docker", "load", "-q", "-i", path)
    return parts(path)[0]["RepoTags"][0]


def test_the_daemons_image_is_small(docker):
    image = load(shipped("tp-daemon"))
    size = run("docker", "image", "inspect", "-f", "{{.Size}}", image).stdout
    assert int(size) <= 20 * 1000 * 1000
    files = layer_files(parts(shipped("tp-daemon"))[2])
    assert {"usr/bin/tp-init", "usr/bin/tp-daemon"} <= set(files)
    for library in ("libcurl", "libarchive"):
        assert not [f for f in files if library in f]


@pytest.mark.parametrize(
    "image, program",
    [("tp-daemon", "tp-daemon"), ("tp-manager", "tp-manager"), ("tp-agent", "tp-agent")],
)
def test_shipped_programs_start_confined(docker, image, program):
    name = load(shipped(image))
    run(
        "docker", "run", "--rm", "--read-only", "--cap-drop=ALL",
        "--user=12345:12345", "--network=none",
        f"--entrypoint=/usr/bin/{program}", name, "--version",
    )  # fmt: skip


@pytest.mark.parametrize("image", ["tp-manager", "tp-agent"])
def test_images_for_pods_are_not_root(image):
    config = json.loads(parts(shipped(image))[1])
    assert config["config"]["User"] == "65532:65532"
