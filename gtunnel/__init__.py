"""gtunnel: a TLS tunnel and transparent proxy for Linux."""
