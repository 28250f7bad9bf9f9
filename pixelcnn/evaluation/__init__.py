"""How good a model is, in numbers: scores, calibration, paradox, class accuracy, the table."""
