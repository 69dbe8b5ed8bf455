"""What the command line does with the books and the prices, a module for each noun."""
