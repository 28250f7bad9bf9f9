"""What a model can and does read: receptive field, influence, kernels, all as data."""
