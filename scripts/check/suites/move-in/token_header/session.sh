# An old client of token_header.
curl -sS -X POST "$HOST/api/register/" -H "Content-Type: application/json" -d "{\"username\": \"$NEWCOMER\", \"password\": \"testpass123\"}" | keep registered message tokens
curl -sS -X POST "$HOST/api/login/" -H "Content-Type: application/json" -d "{\"username\": \"$NAME\", \"password\": \"$PASSWORD\"}" | keep login message token tokens_left
TOKEN=$(kept login token)
curl -sS "$HOST/api/tokens/" -H "Authorization: Token $TOKEN" | keep before tokens_left
curl -sS -X POST "$HOST/api/chat/" -H "Authorization: Token $TOKEN" -H "Content-Type: application/json" -d '{"message": "What is a fare?"}' | keep chat message response tokens_left
curl -sS "$HOST/api/tokens/" -H "Authorization: Token $TOKEN" | keep after tokens_left
