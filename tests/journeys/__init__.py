"""Whole journeys over real sockets: streaming, leaving, crashing, draining."""
