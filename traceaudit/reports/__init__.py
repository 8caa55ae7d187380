"""The findings for people and machines, one file a form."""
