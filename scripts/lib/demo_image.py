"""Writes to stdout an image archive for `docker load`: demo_image.py NAME:TAG BUSYBOX

One layer: the static busybox with a link for each of its applets, an empty /inputs and /outputs, /tmp, and a
/etc/passwd with root and nobody. No time of day and no user of this machine gets in, so the same busybox gives the
same image id everywhere.
"""

import hashlib
import io
import json
import platform
import subprocess
import sys
import tarfile

PASSWD = "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n"
GROUP = "root:x:0:\nnobody:x:65534:\n"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def add(tar, name, mode, data=None, link=None):
    """One entry: a file where there is data, a link where there is a target, a directory otherwise."""
    entry = tarfile.TarInfo(name)
    entry.mode = mode
    if link is not None:
        entry.type, entry.linkname = tarfile.SYMTYPE, link
    elif data is None:
        entry.type = tarfile.DIRTYPE
    else:
        entry.size = len(data)
    tar.addfile(entry, None if data is None else io.BytesIO(data))


def archive(fill):
    """The bytes of a tar that `fill` has filled."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        fill(tar)
    return buffer.getvalue()


def root_filesystem(tar, busybox):
    with open(busybox, "rb") as file:
        binary = file.read()
    applets = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    for name, mode in [("bin", 0o755), ("etc", 0o755), ("inputs", 0o755), ("outputs", 0o755), ("tmp", 0o1777)]:
        add(tar, name, mode)
    add(tar, "bin/busybox", 0o755, binary)
    for applet in sorted(set(applets) - {"busybox"}):
        add(tar, f"bin/{applet}", 0o777, link="busybox")
    add(tar, "etc/passwd", 0o644, PASSWD.encode())
    add(tar, "etc/group", 0o644, GROUP.encode())


def write_image(name, layer, command, comment):
    """The archive of an image of this one layer, to standard output."""
    config = json.dumps(
        {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Env": ["PATH=/bin"], "Cmd": command},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
            "history": [{"created": "1970-01-01T00:00:00Z", "comment": comment}],
        }
    ).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()

    def image(tar):
        add(tar, "config.json", 0o644, config)
        add(tar, "layer.tar", 0o644, layer)
        add(tar, "manifest.json", 0o644, manifest)

    sys.stdout.buffer.write(archive(image))


def main():
    name, busybox = sys.argv[1:]
    write_image(name, archive(lambda tar: root_filesystem(tar, busybox)), ["/bin/sh"], "static busybox")


if __name__ == "__main__":
    main()
