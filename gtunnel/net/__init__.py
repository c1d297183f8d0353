"""Sockets: listening, dialling, names, original destinations, waiting (docs/architecture.md, floor 3)."""
