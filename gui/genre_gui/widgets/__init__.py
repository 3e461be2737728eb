"""Controls, dialogs, charts and colours."""
