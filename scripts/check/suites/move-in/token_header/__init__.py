"""A chat whose clients send a token of the project's own in a header: `Authorization: Token <token>`."""
