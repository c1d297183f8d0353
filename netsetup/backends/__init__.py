"""What writes the firewall: one contract, several ways."""
