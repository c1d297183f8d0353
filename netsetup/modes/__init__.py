"""From a request to a desired state of the kernel: pure functions, no I/O."""
