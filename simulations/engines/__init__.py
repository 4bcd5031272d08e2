"""Ways to carry requests to virtual sites."""
