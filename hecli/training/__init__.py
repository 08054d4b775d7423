"""Many rounds over a shared folder, until they are done."""
