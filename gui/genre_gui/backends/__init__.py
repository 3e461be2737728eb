"""What answers the window: the model in this process, or a service. Imports `settings` and `text`."""
