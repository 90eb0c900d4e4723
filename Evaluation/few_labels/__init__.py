"""Quality from few labels: features, splits, regression, report."""
