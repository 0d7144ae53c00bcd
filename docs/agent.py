#!/usr/bin/env python3
"""A whole mission over the gateway's HTTP API, with the standard library alone."""
import json, os, ssl, urllib.error, urllib.request

GATEWAY = os.environ["GATEWAY_URL"].rstrip("/")
AGENT = os.environ.get("AGENT", "support-bot")
CONTEXT = ssl.create_default_context(cafile=os.environ.get("CA_FILE") or None)


def call(method, path, body=None, **headers):
    with open(os.environ["TOKEN_FILE"]) as file:  # the kubelet renews it
        headers["Authorization"] = "Bearer " + file.read().strip()
    headers["Content-Type"] = "application/json"
    request = urllib.request.Request(GATEWAY + path, json.dumps(body).encode(), headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60, context=CONTEXT) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refusal:
        raise SystemExit(f"{method} {path}: {refusal.code} {refusal.read().decode()}")


services = [os.environ.get("SERVICE", "slack")]
passport = call("POST", "/v1/passports/issue", {"agent_id": AGENT, "intent": {"summary": "Say hello", "services": services}})
mission = "/v1/passports/" + passport["jti"]
answer = call("POST", "/v1/proxy", {
    "service": services[0], "method": "GET", "url": os.environ.get("URL", "https://slack.com/api/api.test"),
}, **{"X-Passport-Token": passport["token"]})
print("the service answered", answer["status"])
report = {"services_used": services, "actions_count": 1, "summary": "Said hello"}
passport["token"] = call("POST", mission + "/checkpoint", report).get("token") or passport["token"]
print("checked out:", call("POST", mission + "/checkout", report)["checkout_status"])
