"""Replicate: nothing else in the gateway talks to it."""
