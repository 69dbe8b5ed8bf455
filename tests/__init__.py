"""What Repligate promises, test by test."""
