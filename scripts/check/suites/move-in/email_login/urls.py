from django.contrib import admin
from django.urls import path

from . import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/register/", views.Register.as_view()),
    path("api/login/", views.Login.as_view()),
    path("api/chat/", views.ChatView.as_view()),
    path("api/tokens/", views.Tokens.as_view()),
]
