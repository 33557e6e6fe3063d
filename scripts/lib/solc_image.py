"""Writes to stdout an image archive for `docker load`: solc_image.py NAME:TAG NODE SOLJSON COMPILE

One layer: this machine's Node.js with the libraries that it loads, the Solidity compiler as one file of JavaScript, and the
program that calls it. No registry is asked, and no time of day gets in.
"""

import re
import subprocess
import sys

from demo_image import add, archive, write_image


def libraries(program):
    """What the program loads, by the paths that it knows them by."""
    said = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return sorted(set(re.findall(r"(/\S+) \(0x", said)))


def root_filesystem(tar, node, soljson, compile_):
    files = {library: library for library in libraries(node)}
    files |= {"/bin/node": node, "/solc/soljson.js": soljson, "/solc/compile.js": compile_}
    parents = {"/".join(path.split("/")[:end]) for path in files for end in range(2, path.count("/") + 1)}
    for name in sorted(parents | {"/inputs", "/outputs", "/etc", "/tmp"}):
        add(tar, name.lstrip("/"), 0o755)
    for path, source in sorted(files.items()):
        with open(source, "rb") as file:
            add(tar, path.lstrip("/"), 0o755, file.read())


def main():
    name, node, soljson, compile_ = sys.argv[1:]
    layer = archive(lambda tar: root_filesystem(tar, node, soljson, compile_))
    write_image(name, layer, ["/bin/node", "/solc/compile.js"], "Node.js and solc")


main()
