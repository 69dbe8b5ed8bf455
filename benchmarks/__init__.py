"""What the gateway costs, measured beside a direct client, a bare relay and its peers: `make bench`."""
