"""stubs.py FOLDER: gives PyTorch's libraries in FOLDER stand-ins for the CUDA libraries that they name.

PyTorch's wheel computes on a CPU, but it is linked with CUDA's libraries, gigabytes of them. A stand-in is a library of
the right name whose functions have the symbols and versions that PyTorch asks for and return 100, which is CUDA's "no
device". Needs readelf and cc.
"""

import collections
import glob
import os
import re
import subprocess
import sys

CUDA = re.compile(r"lib(cu|nv|nccl)")
# What a library whose symbols have no versions may be asked for.
FUNCTION = re.compile(r"(cu|nccl|nvrtc|nvshmem|cudnn)")
# Functions that return text, and are called before anyone looks for a device.
TEXTS = {
    "cudaGetErrorString", "cudaGetErrorName", "cublasGetStatusString", "cudnnGetErrorString", "ncclGetErrorString",
    "ncclGetLastError",
}  # fmt: skip


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments], capture_output=True, text=True, check=True).stdout


class Wanted:
    """What the libraries of a folder want from others, and which symbols they have themselves."""

    def __init__(self, paths):
        self.libraries = set()
        self.versions = collections.defaultdict(set)  # library -> versions
        self.symbols = collections.defaultdict(set)  # version -> names; None: names without a version
        self.defined = set()
        for path in paths:
            self.read_needed(path)
            self.read_symbols(path)

    def read_needed(self, path):
        self.libraries |= set(filter(CUDA.match, re.findall(r"NEEDED.*\[(.*?)\]", readelf("-d", path))))
        library = None
        for line in readelf("-V", path).splitlines():
            if found := re.search(r"File: (\S+)", line):
                library = found[1]
            if (found := re.search(r"Name: (\S+) ", line)) and library:
                self.versions[library].add(found[1])

    def read_symbols(self, path):
        for line in readelf("--dyn-syms", path).splitlines():
            fields = line.split()
            if len(fields) < 8:
                continue
            name, _, version = fields[7].partition("@")
            if fields[6] == "UND":
                self.symbols[version.lstrip("@") or None].add(name)
            else:
                self.defined.add(name)


def source(names):
    lines = ["int stand_in;"]
    for name in sorted(names):
        if name in TEXTS:
            lines.append(f'const char *{name}(void) {{ return "no CUDA device"; }}')
        else:
            lines.append(f"long {name}(void) {{ return 100; }}")
    return "\n".join(lines)


def make(folder, library, wanted):
    versions = sorted(wanted.versions[library])
    names = set().union(*(wanted.symbols[v] for v in versions))
    if not versions:
        names = set(filter(FUNCTION.match, wanted.symbols[None] - wanted.defined))
    path = os.path.join(folder, library)
    command = ["cc", "-shared", "-fPIC", "-w", "-x", "c", "-", f"-Wl,-soname,{library}", "-o", path]
    script = path + ".map"
    if versions:
        with open(script, "w") as file:
            for version in versions:
                symbols = "".join(f" {name};" for name in sorted(wanted.symbols[version]))
                file.write(f"{version} {{ global:{symbols or ' stand_in;'} local: *; }};\n")
        command.append(f"-Wl,--version-script,{script}")
    subprocess.run(command, input=source(names), text=True, check=True)
    if versions:
        os.remove(script)


def main():
    folder = sys.argv[1]
    wanted = Wanted(glob.glob(os.path.join(folder, "*.so*")))
    for library in sorted(wanted.libraries):
        if not os.path.exists(os.path.join(folder, library)):
            make(folder, library, wanted)


if __name__ == "__main__":
    main()
