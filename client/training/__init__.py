"""Local training from cached activations."""
