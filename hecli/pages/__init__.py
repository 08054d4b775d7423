"""Pages that browsers show: one file each, which loads nothing."""
