"""Who does the work: processes today, a cluster tomorrow."""
