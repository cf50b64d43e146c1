# An old client of email_login, which identifies users by their e-mail address. In its second
# log-in, the client sends the address as `email`.
curl -sS -X POST "$HOST/api/register/" -H "Content-Type: application/json" -d "{\"username\": \"$NEWCOMER@example.com\", \"email\": \"$NEWCOMER@example.com\", \"password1\": \"StrongPass123!\"}" | keep registered message token
curl -sS -X POST "$HOST/api/login/" -H "Content-Type: application/json" -d "{\"username\": \"$NAME\", \"password\": \"$PASSWORD\"}" | keep login token
TOKEN=$(kept login token)
curl -sS "$HOST/api/tokens/" -H "Authorization: Token $TOKEN" | keep before tokens
curl -sS -X POST "$HOST/api/chat/" -H "Authorization: Token $TOKEN" -H "Content-Type: application/json" -d '{"message": "Hello"}' | keep chat response remaining_tokens
curl -sS -X POST "$HOST/api/login/" -H "Content-Type: application/json" -d "{\"email\": \"$NAME\", \"password\": \"$PASSWORD\"}" | keep login_by_email token
curl -sS "$HOST/api/tokens/" -H "Authorization: Token $(kept login_by_email token)" | keep after tokens
