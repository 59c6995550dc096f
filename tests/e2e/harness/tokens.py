"""Tokens: real ones from the OAuth server, and forgeries signed with its key or with another."""

import base64
import json
import time
import uuid

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from . import patient

SCOPE = "https://gateway.internal/invoke"
AUDIENCE = "tollgate"


class SigningKey:
    """An RSA key with a key id."""

    def __init__(self, kid: str):
        self.kid = kid
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwk(self) -> dict:
        """The public half, as an issuer shows it."""
        numbers = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return numbers | {"kid": self.kid, "use": "sig", "alg": "RS256"}

    def public_pem(self) -> bytes:
        public = self.key.public_key()
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class Issuer:
    """The OAuth server, from a client's point of view and from a forger's."""

    def __init__(self, url: str, key: SigningKey):
        self.url = url
        self.key = key
        self.issued: list[str] = []

    def token(self, client_id: str = "search-team", scope: str | None = SCOPE) -> str:
        """An access token by client_credentials."""
        form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
        answer = patient.post(f"{self.url}/token", data=form, auth=(client_id, f"{client_id}-secret-0123456789abcdef"))
        answer.raise_for_status()
        return self._remember(answer.json()["access_token"])

    def claims(self, **changes) -> dict:
        """What a good token says; a change to None takes a claim out."""
        now = int(time.time())
        good = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "search-team",
            "client_id": "search-team",
            "scope": SCOPE,
            "jti": uuid.uuid4().hex,
            "iat": now,
            "exp": now + 3600,
        }
        return {name: value for name, value in (good | changes).items() if value is not None}

    def minted(self, *, key: SigningKey | None = None, kid: str | None = None, headers: dict | None = None, **changes) -> str:
        """A token that the server did not issue."""
        key = key or self.key
        header = {"kid": kid or key.kid, "typ": "at+jwt"} | (headers or {})
        return self._remember(jwt.encode(self.claims(**changes), key.key, algorithm="RS256", headers=header))

    def unsigned(self) -> str:
        """`alg: none`."""
        return self._remember(f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(self.claims())}.")

    def hmac_with_public_key(self) -> str:
        """HS256 with the public key as the secret: the algorithm-confusion attack."""
        import hashlib
        import hmac

        start = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': self.key.kid})}.{_part(self.claims())}"
        mac = hmac.new(self.key.public_pem(), start.encode(), hashlib.sha256).digest()
        return self._remember(f"{start}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}")

    def tampered(self) -> str:
        """A real token whose claims were changed afterwards."""
        head, _, signature = self.token().split(".")
        return self._remember(f"{head}.{_part(self.claims(sub='admin', client_id='admin'))}.{signature}")

    def _remember(self, token: str) -> str:
        self.issued.append(token)
        return token


def _part(value: dict) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
