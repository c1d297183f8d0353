"""The command line (docs/architecture.md, floor 6)."""
