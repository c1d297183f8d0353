"""The version, in one place: `pyproject.toml`, `-version` and the log's first line read it from here."""

VERSION = "0.1.0"
