"""Who does the work: processes today."""
