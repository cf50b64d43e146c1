"""A chat app whose clients send the project's own token in a header: `Authorization: Token
<token>`."""
