"""Processes, signals, reload, privileges, log sinks (docs/architecture.md, floor 5)."""
