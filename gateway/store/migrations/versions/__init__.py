"""One file per change of the form."""
