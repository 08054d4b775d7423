"""What measurements are made of: commands in a folder, trainings in one process, and their figures."""
