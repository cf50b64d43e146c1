# An old client of chat_messages.
curl -sS -X POST "$HOST/api/register/" -H "Content-Type: application/json" -d "{\"username\": \"$NEWCOMER\", \"password\": \"secret123\"}" | keep registered message
curl -sS -X POST "$HOST/api/login/" -H "Content-Type: application/json" -d "{\"username\": \"$NAME\", \"password\": \"$PASSWORD\"}" | keep login access refresh
curl -sS "$HOST/api/tokenbalance/" -H "Authorization: Bearer $(kept login access)" | keep before tokens
curl -sS -X POST "$HOST/api/chat_msg/" -H "Authorization: Bearer $(kept login access)" -H "Content-Type: application/json" -d '{"message": "Hello"}' | keep chat message response timestamp
curl -sS -X POST "$HOST/api/token/" -H "Content-Type: application/json" -d "{\"username\": \"$NAME\", \"password\": \"$PASSWORD\"}" | keep login_by_token access refresh
curl -sS -X POST "$HOST/api/token/refresh/" -H "Content-Type: application/json" -d "{\"refresh\": \"$(kept login_by_token refresh)\"}" | keep refreshed access
curl -sS "$HOST/api/tokenbalance/" -H "Authorization: Bearer $(kept refreshed access)" | keep after tokens
