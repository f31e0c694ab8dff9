"""The terminal's side of a talk: what is played when, and the stream to the server."""
