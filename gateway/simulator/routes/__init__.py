"""The routes of Replicate's API, one module per kind of object, and those of the control endpoint."""
