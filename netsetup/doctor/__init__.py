"""Why a transparent connection would not work on this machine: facts, checks on them, and a probe with real packets."""
