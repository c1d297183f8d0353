"""Application protocols as steps over bytes. Opens no socket (docs/architecture.md, floor 1)."""
