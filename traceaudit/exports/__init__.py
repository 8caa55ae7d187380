"""The audit database in other forms, one file a form."""
