"""The inspector's own widgets, each small, with its messages inside."""
