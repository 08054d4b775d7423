"""What happens to packed plaintexts between the parties and the sum: one interface, one registry."""
