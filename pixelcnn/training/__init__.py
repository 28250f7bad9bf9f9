"""Training: the engine (events, no files) and the files that let a run go on."""
