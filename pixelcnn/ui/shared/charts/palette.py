"""The colours of all charts."""

# Told apart by people who see few colours too, on white and on black (after Okabe and Ito).
BLUE, ORANGE, GREEN, PINK, GOLD = "#3f83cc", "#d9772b", "#2f9e77", "#c45fa8", "#b98a00"
SERIES = (BLUE, ORANGE, GREEN, PINK, GOLD, "#6f6fd0")
GREY = "#8a93a3"
CHANNELS = ("#d04444", "#3f9e4d", "#3f6fcc")
"""Red, green, blue."""
