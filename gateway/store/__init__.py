"""Where books and shared state live."""
