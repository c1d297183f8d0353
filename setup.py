"""What pyproject.toml cannot say: a library in C that is not a module of Python's (gtunnel/preload/peername.c).

Where it cannot be built, gtunnel is installed without it.
"""

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext


class BuildLibrary(build_ext):
    """Builds a plain library, for programs of any kind: its name has nothing of a Python version."""

    def get_ext_filename(self, ext_name: str) -> str:
        """The path of what is built, from its dotted name."""
        return f"{Path(*ext_name.split('.'))}.so"


setup(
    cmdclass={"build_ext": BuildLibrary},
    ext_modules=[
        Extension(
            "gtunnel.preload.peername",
            ["gtunnel/preload/peername.c"],
            extra_compile_args=["-O2", "-Wall", "-Wextra", "-fvisibility=hidden"],
            libraries=["dl"],
            optional=True,
        )
    ],
)
