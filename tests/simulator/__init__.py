"""The simulator's promises, shown over real sockets."""
