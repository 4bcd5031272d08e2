"""The network; the only rooms of common that know torch."""
