"""Writes to stdout an image archive for `docker load`: rust_image.py NAME:TAG SYSROOT

One layer: the Rust toolchain below SYSROOT at /rust, and this machine's C compiler, linker, shell and tar, which are the
files of their Debian packages. No registry is asked, and no time of day gets in.
"""

import os
import subprocess
import sys

from demo_image import add, archive, write_image

PACKAGES = ["bash", "coreutils", "dash", "gcc", "libc6-dev", "tar"]
NEEDS = "recommends suggests conflicts breaks replaces enhances".split()
# Debian's /bin and /lib are links into /usr.
MERGED = ["bin", "lib", "lib64", "sbin"]


def lines(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def debian_files():
    """The files of the packages and of what they depend on, without their documentation."""
    without = [f"--no-{need}" for need in NEEDS]
    depends = lines("apt-cache", "depends", "--recurse", "--installed", *without, *PACKAGES)
    names = sorted({line for line in depends if line[0].isalnum()})
    for path in sorted({line for line in lines("dpkg", "-L", *names) if line.startswith("/")}):
        if path.split("/")[1] in MERGED:
            path = "/usr" + path
        if path.startswith("/usr/") and not path.startswith("/usr/share/"):
            yield path, path


def rust_files(sysroot):
    """What compiles: no documentation, and no tools beside it."""
    for folder in ["bin", "lib"]:
        for place, _, names in os.walk(os.path.join(sysroot, folder)):
            for name in names:
                source = os.path.join(place, name)
                yield "/rust/" + os.path.relpath(source, sysroot), source


def root_filesystem(tar, sysroot):
    files = {target: source for target, source in [*debian_files(), *rust_files(sysroot)] if not os.path.isdir(source)}
    parents = {"/".join(path.split("/")[:end]) for path in files for end in range(2, path.count("/") + 1)}
    for name in sorted(parents | {"/inputs", "/outputs", "/etc", "/build"}):
        add(tar, name.lstrip("/"), 0o755)
    for name in MERGED:
        add(tar, name, 0o777, link="usr/" + name)
    for target, source in sorted(files.items()):
        if os.path.islink(source):
            add(tar, target.lstrip("/"), 0o777, link=os.readlink(source))
        elif os.path.exists(source):
            with open(source, "rb") as file:
                add(tar, target.lstrip("/"), 0o755, file.read())


def main():
    name, sysroot = sys.argv[1:]
    write_image(name, archive(lambda tar: root_filesystem(tar, sysroot)), ["/bin/bash"], "Rust and gcc")


main()
