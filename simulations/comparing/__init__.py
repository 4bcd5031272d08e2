"""Arms compared over repeated folds: trials, their statistics, and what is written of them."""
