"""Data sets, pictures of your own, picture files; levels to pictures and back."""
