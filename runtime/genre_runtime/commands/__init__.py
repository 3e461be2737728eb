"""The verbs of the command `genre`: each module adds its parser and runs it."""
