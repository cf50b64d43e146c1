"""A chat app whose clients send the project's own token in a header, `Authorization: Bearer
<token>`, or in the body. Its users have UUIDs."""
