"""How datasets lie on disk: one room per layout, all of one shape, in one table."""
