"""The parts of the Complete page: the drawing, how it is completed, and what came out."""
