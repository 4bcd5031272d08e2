"""A site's images: manifest, groups, splits, caches."""
