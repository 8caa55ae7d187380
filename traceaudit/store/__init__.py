"""The audit database: its schema, its writer, its reader."""
