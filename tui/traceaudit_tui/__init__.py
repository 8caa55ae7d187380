"""The inspector: a terminal's view of an audit database. Importing this costs nothing; ``app`` imports Textual."""
