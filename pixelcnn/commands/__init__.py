"""The command line: python -m pixelcnn train | sample | evaluate | measure | check | ..."""
