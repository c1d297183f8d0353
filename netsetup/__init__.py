"""netsetup: the kernel side of transparent proxying. Stands on its own; knows nothing of gtunnel."""
