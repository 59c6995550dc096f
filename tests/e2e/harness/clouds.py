"""Who gives the clouds' tokens."""

import json
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from .config import OPENAI_KEY
from .serving import serve, url_of

ENTRA_SECRET = "entra-application-secret"


class TokenServer:
    """Gives aimock's key as a token to whoever proves who he is: an application with its secret, a service account with its signature. And to GitHub accounts."""

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.granted = []
        self.server = serve(self._answer)
        self.url = url_of(self.server)

    def stop(self):
        self.server.shutdown()

    def _answer(self, path, _headers, body):
        if path == "/copilot":
            return 200, [], json.dumps({"token": OPENAI_KEY, "expires_at": 4_102_444_800}).encode()
        form = parse_qs(body.decode())
        status, answer = self.answer({name: values[0] for name, values in form.items()})
        return status, [("content-type", "application/json")], json.dumps(answer).encode()

    def answer(self, form: dict) -> tuple[int, dict]:
        granted = {"access_token": OPENAI_KEY, "expires_in": 3599, "token_type": "Bearer"}
        if form["grant_type"] == "client_credentials" and form["client_secret"] == ENTRA_SECRET:
            self.granted.append("entra")
            return 200, granted
        if form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            claims = jwt.decode(form["assertion"], self.key.public_key(), ["RS256"], audience=f"{self.url}/token")
            self.granted.append(claims["iss"])
            return 200, granted
        return 401, {"error": "invalid_client"}

    def service_account(self) -> str:
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return json.dumps(
            {
                "type": "service_account",
                "client_email": "gateway@e2e.iam.gserviceaccount.com",
                "private_key_id": "k1",
                "private_key": pem,
                "token_uri": f"{self.url}/token",
            }
        )
