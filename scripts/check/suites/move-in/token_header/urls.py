from django.urls import path

from . import views

urlpatterns = [
    path("api/register/", views.Register.as_view()),
    path("api/login/", views.Login.as_view()),
    path("api/chat/", views.ChatView.as_view()),
    path("api/tokens/", views.Tokens.as_view()),
]
