# An old client of simple_jwt.
curl -sS -X POST "$HOST/api/register/" -H "Content-Type: application/json" -d "{\"username\": \"$NEWCOMER\", \"password\": \"strongpassword\", \"password2\": \"strongpassword\"}" | keep registered username tokens
curl -sS -X POST "$HOST/api/token/" -H "Content-Type: application/json" -d "{\"username\": \"$NAME\", \"password\": \"$PASSWORD\"}" | keep login access refresh
curl -sS -X POST "$HOST/api/token/refresh/" -H "Content-Type: application/json" -d "{\"refresh\": \"$(kept login refresh)\"}" | keep refreshed access
ACCESS=$(kept refreshed access)
curl -sS "$HOST/api/user/profile/" -H "Authorization: Bearer $ACCESS" | keep profile username email first_name last_name date_joined
curl -sS "$HOST/api/user/balance/" -H "Authorization: Bearer $ACCESS" | keep before tokens
curl -sS -X POST "$HOST/api/chat/" -H "Authorization: Bearer $ACCESS" -H "Content-Type: application/json" -d '{"message": "Hello"}' | keep chat response remaining_tokens
curl -sS "$HOST/api/chat/" -H "Authorization: Bearer $ACCESS" | keep history message response timestamp
curl -sS "$HOST/api/user/balance/" -H "Authorization: Bearer $ACCESS" | keep after tokens
