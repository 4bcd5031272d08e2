"""What the coordinator asks of the sites, one room a phase."""
