"""Labels and features to a model folder."""
