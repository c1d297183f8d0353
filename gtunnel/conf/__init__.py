"""Configuration: text to frozen data. Opens no socket (docs/architecture.md, floor 1)."""
