from common.ai import answer
from django.contrib.auth import authenticate
from django.db import transaction
from django.db.models import F
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from .models import Chat, Token, User

PRICE = 100


class HeaderToken(BaseAuthentication):
    def authenticate(self, request):
        words = get_authorization_header(request).decode().split()
        if len(words) != 2 or words[0] != "Token":
            return None
        token = Token.objects.select_related("user").filter(key=words[1], user__is_active=True).first()
        if token is None:
            raise AuthenticationFailed("Invalid token.")
        return token.user, token

    def authenticate_header(self, request):
        return "Token"


class Register(APIView):
    authentication_classes = []

    def post(self, request):
        username, password = request.data.get("username"), request.data.get("password")
        if not username or not password:
            return Response({"error": "Username and password are required."}, 400)
        if User.objects.filter(username=username).exists():
            return Response({"error": "Username already exists."}, 400)
        user = User.objects.create_user(username=username, password=password)
        return Response({"message": "User registered successfully.", "tokens": user.tokens}, 201)


class Login(APIView):
    authentication_classes = []

    def post(self, request):
        user = authenticate(username=request.data.get("username"), password=request.data.get("password"))
        if user is None:
            return Response({"error": "Invalid credentials."}, 401)
        token, _ = Token.objects.get_or_create(user=user)
        return Response({"message": "Login successful.", "token": token.key, "tokens_left": user.tokens})


class ChatView(APIView):
    authentication_classes = [HeaderToken]
    permission_classes = [IsAuthenticated]

    def post(self, request):
        message = request.data.get("message")
        if not message:
            return Response({"error": "Message is required."}, 400)
        with transaction.atomic():
            if not User.objects.filter(pk=request.user.pk, tokens__gte=PRICE).update(tokens=F("tokens") - PRICE):
                return Response({"error": "Not enough tokens."}, 402)
            chat = Chat.objects.create(user=request.user, message=message, response=answer(message))
        request.user.refresh_from_db()
        return Response({"message": chat.message, "response": chat.response, "tokens_left": request.user.tokens})


class Tokens(APIView):
    authentication_classes = [HeaderToken]
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({"tokens_left": request.user.tokens})
