from common.ai import answer
from django.contrib.auth import authenticate
from django.db import transaction
from django.db.models import F
from rest_framework import serializers
from rest_framework.authtoken.models import Token
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from .models import Chat, User

PRICE = 100


class Registration(serializers.Serializer):
    email = serializers.EmailField()
    password1 = serializers.CharField(trim_whitespace=False)

    def validate_email(self, email):
        if User.objects.filter(email__iexact=email).exists():
            raise serializers.ValidationError("This address is taken.")
        return email


class Register(APIView):
    permission_classes = [AllowAny]

    def post(self, request):
        data = Registration(data=request.data)
        data.is_valid(raise_exception=True)
        user = User.objects.create_user(data.validated_data["email"], data.validated_data["password1"])
        return Response({"message": "Welcome!", "token": Token.objects.create(user=user).key}, 201)


class Login(APIView):
    permission_classes = [AllowAny]

    def post(self, request):
        email = request.data.get("username") or request.data.get("email")
        user = authenticate(request, username=email, password=request.data.get("password"))
        if user is None:
            return Response({"detail": "Wrong address or password."}, 400)
        return Response({"token": Token.objects.get_or_create(user=user)[0].key})


class ChatView(APIView):
    def post(self, request):
        message = request.data.get("message")
        if not message:
            return Response({"message": ["This field is required."]}, 400)
        with transaction.atomic():
            if not User.objects.filter(pk=request.user.pk, tokens__gte=PRICE).update(tokens=F("tokens") - PRICE):
                return Response({"detail": "You have no tokens left."}, 402)
            chat = Chat.objects.create(user=request.user, message=message, response=answer(message))
        request.user.refresh_from_db()
        return Response({"response": chat.response, "remaining_tokens": request.user.tokens})


class Tokens(APIView):
    def get(self, request):
        return Response({"tokens": request.user.tokens})
