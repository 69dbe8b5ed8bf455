"""Who may spend what: virtual keys, prices and the ledger."""
