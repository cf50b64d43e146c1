import uuid

from common.ai import answer
from django.contrib.auth import authenticate
from django.db import transaction
from rest_framework.decorators import api_view
from rest_framework.response import Response

from .models import AuthToken, ChatHistory, ChatUser

PRICE = 100


def user_of(request):
    """Returns the user whose token is in the header or the body."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer":
        token = request.data.get("token", "")
    try:
        return AuthToken.objects.select_related("user").get(token=uuid.UUID(token), user__is_active=True).user
    except (AuthToken.DoesNotExist, ValueError):
        return None


@api_view(["POST"])
def register(request):
    username, password = request.data.get("username"), request.data.get("password")
    if not username or not password:
        return Response({"error": "username and password are required"}, 400)
    if ChatUser.objects.filter(username=username).exists():
        return Response({"error": "username is taken"}, 400)
    user = ChatUser.objects.create_user(username, password=password)
    return Response({"message": "registered", "tokens": user.tokens}, 201)


@api_view(["POST"])
def login(request):
    user = authenticate(request, username=request.data.get("username"), password=request.data.get("password"))
    if not user:
        return Response({"error": "invalid credentials"}, 401)
    return Response({"token": AuthToken.objects.create(user=user).token})


@api_view(["POST"])
def chat(request):
    user, message = user_of(request), request.data.get("message")
    if not user:
        return Response({"error": "invalid token"}, 401)
    if not message:
        return Response({"error": "message is required"}, 400)
    with transaction.atomic():
        user = ChatUser.objects.select_for_update().get(pk=user.pk)
        if user.tokens < PRICE:
            return Response({"error": "not enough tokens"}, 402)
        user.tokens -= PRICE
        user.save(update_fields=["tokens"])
        made = ChatHistory.objects.create(user=user, message=message, response=answer(message))
    return Response({"response": made.response, "tokens_deducted": PRICE})


@api_view(["GET"])
def token_balance(request):
    user = user_of(request)
    return Response({"tokens": user.tokens}) if user else Response({"error": "invalid token"}, 401)
