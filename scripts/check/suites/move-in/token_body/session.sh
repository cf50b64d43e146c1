# An old client of token_body.
curl -sS -X POST "$HOST/api/register/" -H "Content-Type: application/json" -d "{\"username\": \"$NEWCOMER\", \"password\": \"secret123\"}" | keep registered message tokens
curl -sS -X POST "$HOST/api/login/" -H "Content-Type: application/json" -d "{\"username\": \"$NAME\", \"password\": \"$PASSWORD\"}" | keep login token
TOKEN=$(kept login token)
curl -sS "$HOST/api/token_balance/" -H "Authorization: Bearer $TOKEN" | keep before tokens
curl -sS -X POST "$HOST/api/chat/" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{"message": "Hello"}' | keep chat response tokens_deducted
curl -sS -X POST "$HOST/api/chat/" -H "Content-Type: application/json" -d "{\"message\": \"Hello again\", \"token\": \"$TOKEN\"}" | keep chat_by_body response tokens_deducted
curl -sS "$HOST/api/token_balance/" -H "Authorization: Bearer $TOKEN" | keep after tokens
