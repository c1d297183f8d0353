"""Programs for tests of `exec`."""

# Prints what a program sees of itself, as JSON in one line. It opens nothing that it would count.
SHOW = """
import json, os, resource, sys
def signals(field):
    mask = int(next(l for l in open("/proc/self/status") if l.startswith(field + ":")).split()[1], 16)
    # Python itself ignores two; 32 and 33 are glibc's own, which posix_spawn(3) leaves ignored.
    return [n for n in range(1, 32) if mask >> (n - 1) & 1 and not (field == "SigIgn" and n in (13, 25))]
descriptors = []
for name in range(3000):
    try:
        os.fstat(name)
    except OSError:
        continue
    descriptors.append(name)
def controlled():
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return False
    return True
print(json.dumps(dict(
    descriptors=descriptors, ignored=signals("SigIgn"), blocked=signals("SigBlk"), pending=signals("SigPnd"),
    limit=resource.getrlimit(resource.RLIMIT_NOFILE), pid=os.getpid(), group=os.getpgid(0), session=os.getsid(0),
    controlled=controlled(), terminals=[n for n in descriptors if os.isatty(n)], directory=os.getcwd(),
    arguments=open("/proc/self/cmdline").read().split(chr(0))[:-1], environment=dict(os.environ),
    umask=os.umask(0o22))), flush=True)
""".strip()


def shell(script: str) -> tuple[str, ...]:
    """A shell script, as path and arguments: its name is the path."""
    return ("/bin/sh", "-c", script)
