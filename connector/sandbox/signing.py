"""How webhooks are signed, by HubSpot and by Standard Webhooks. Pure.

Facts (HubSpot API, "Validating requests"; the Standard Webhooks specification):
- HubSpot v3: base64 HMAC-SHA256, keyed with the app's secret, of METHOD + URL + body + epoch milliseconds; in the URL some
  escapes are decoded before;
- HubSpot v1: hex SHA-256 of secret + body;
- Standard Webhooks: `v1,` and base64 HMAC-SHA256 of `id.timestamp.body`, the key being the base64 text after `whsec_`.
"""

import base64
import hashlib
import hmac

_DECODED = {
    "%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$", "%27": "'", "%28": "(", "%29": ")", "%2A": "*",
    "%2C": ",", "%3B": ";",
}  # fmt: skip


def hubspot_v1(secret: str, body: bytes) -> dict[str, str]:
    """Headers as legacy private apps get them."""
    digest = hashlib.sha256(secret.encode() + body).hexdigest()
    return {"X-HubSpot-Signature": digest, "X-HubSpot-Signature-Version": "v1"}


def hubspot_v3(secret: str, url: str, body: bytes, now: float) -> dict[str, str]:
    """Headers as all newer apps get them. now: epoch seconds."""
    stamp = str(int(now * 1000))
    for escape, character in _DECODED.items():
        url = url.replace(escape, character).replace(escape.lower(), character)
    digest = hmac.new(secret.encode(), b"POST" + url.encode() + body + stamp.encode(), hashlib.sha256).digest()
    return {"X-HubSpot-Signature-v3": base64.b64encode(digest).decode(), "X-HubSpot-Request-Timestamp": stamp}


def standard(secret: str, message_id: str, body: bytes, now: float) -> dict[str, str]:
    """Standard Webhooks headers. now: epoch seconds."""
    stamp = str(int(now))
    signed = f"{message_id}.{stamp}.".encode() + body
    digest = hmac.new(standard_key(secret), signed, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def standard_key(secret: str) -> bytes:
    """The key inside a `whsec_` secret. Raises ValueError for anything else."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True) if secret.startswith("whsec_") else b""
    except ValueError:
        key = b""
    if not key:
        raise ValueError("a Standard Webhooks secret is whsec_ and base64")
    return key
