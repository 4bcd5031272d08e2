"""From an encoded smear image to the pixels a backbone sees."""
