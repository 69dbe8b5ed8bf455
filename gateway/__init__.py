"""The server between OpenAI clients and Replicate: it listens, admits, calls, relays, stores and charges."""

__version__ = "0.1.0"
