"""A chat whose clients send a token of the project's own in a header, `Authorization: Bearer <token>`, or in the body. Its users have UUIDs."""
