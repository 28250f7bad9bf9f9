"""The Generate page: watch a picture being drawn."""
