"""The life of a connection; services and their listeners (docs/architecture.md, floor 4)."""
