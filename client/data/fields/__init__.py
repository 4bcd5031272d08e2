"""Images that show overlapping parts of one slide, or are copies of one another."""
