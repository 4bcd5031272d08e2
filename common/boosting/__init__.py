"""Arithmetic of the federated booster, in numpy; and XGBoost, where it grows or reads trees."""
