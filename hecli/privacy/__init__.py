"""What noise promises: how much there is to be, what it costs, and the account of it."""
