"""The inspector's screens, one a file."""
