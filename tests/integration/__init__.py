"""Whole programs against real peers: what crosses processes."""
