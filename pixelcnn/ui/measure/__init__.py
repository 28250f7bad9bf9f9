"""The parts of the Measure page, one file for each question that it answers."""
