"""Whether images are fit for a study: what is measured of each, what is wrong, who looks at it."""
