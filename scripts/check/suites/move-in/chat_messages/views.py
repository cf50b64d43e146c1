from common.ai import answer
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from .models import ChatMessage, Profile

PRICE = 100


@api_view(["POST"])
def register(request):
    username, password = request.data.get("username"), request.data.get("password")
    if not username or not password:
        return Response({"error": "Both username and password are required"}, 400)
    if User.objects.filter(username=username).exists():
        return Response({"error": "Username already exists"}, 400)
    with transaction.atomic():
        Profile.objects.create(user=User.objects.create_user(username, password=password))
    return Response({"message": "User created"}, 201)


@api_view(["POST"])
@permission_classes([IsAuthenticated])
def chat_msg(request):
    message = request.data.get("message", "")
    if not message.strip():
        return Response({"error": "Message is required"}, 400)
    with transaction.atomic():
        if not Profile.objects.filter(user=request.user, tokens__gte=PRICE).update(tokens=F("tokens") - PRICE):
            return Response({"error": "Insufficient tokens"}, 402)
        made = ChatMessage.objects.create(user=request.user, message=message, response=answer(message))
    return Response({"message": made.message, "response": made.response, "timestamp": made.timestamp})


@api_view(["GET"])
@permission_classes([IsAuthenticated])
def tokenbalance(request):
    return Response({"tokens": request.user.profile.tokens})
