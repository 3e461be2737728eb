"""The three pages of the window. Imports the controller and what is below it."""
