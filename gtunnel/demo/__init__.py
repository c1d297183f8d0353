"""What `gtunnel demo` shows: a tunnel on this machine and, as root, a transparent gateway in the lab.

It drives gtunnel from outside, as a user does: through its command line, its configuration file and its log.
"""
