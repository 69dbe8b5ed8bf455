"""Families whose ways their schemas do not tell, a few declared lines each."""
