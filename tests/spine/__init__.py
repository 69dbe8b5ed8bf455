"""The spine in this process: calls, their ends and their books, over real sockets to a simulated Replicate."""
