"""TLS: the one place that touches OpenSSL (docs/architecture.md, floor 2)."""
