"""Shapes on the wire, in the order of the public references."""
