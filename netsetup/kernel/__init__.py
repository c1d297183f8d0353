"""What is read from and written to the kernel besides the firewall."""
