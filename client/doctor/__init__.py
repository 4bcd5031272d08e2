"""`leukofed-site check`: what stands in the way of a study at this site, and what to do."""
