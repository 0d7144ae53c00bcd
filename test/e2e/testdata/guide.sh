# The guide of the lifecycle, command by command. Each step is a function; what differs from the guide are
# the address, the key, and the ids that the answers before have given.
set -eu
curl() { command curl --silent --show-error --cacert "$GATEWAY_CA" "$@"; }

issue() {
curl -X POST $GATEWAY_URL/v1/passports/issue \
  -H "Authorization: Bearer $STACK_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "agent_id": "agt_support_bot",
    "intent": {
      "summary": "Answer one customer ticket and post a resolution",
      "services": ["slack", "github"],
      "estimated_duration_seconds": 900,
      "will_delegate": false
    },
    "ttl_seconds": 900,
    "checkpoint_interval_seconds": 300
  }'
}

proxy() {
curl -X POST $GATEWAY_URL/v1/proxy \
  -H "Authorization: Bearer $STACK_API_KEY" \
  -H "X-Passport-Token: $TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "service": "'"$SERVICE"'",
    "method": "GET",
    "url": "'"$UPSTREAM"'"
  }'
}

checkpoint() {
curl -X POST $GATEWAY_URL/v1/passports/$JTI/checkpoint \
  -H "Authorization: Bearer $STACK_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "services_used": ["slack", "github"],
    "actions_count": 3,
    "summary": "Pulled ticket context; drafting reply"
  }'
}

checkout() {
curl -X POST $GATEWAY_URL/v1/passports/$JTI/checkout \
  -H "Authorization: Bearer $STACK_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "services_used": ["slack", "github"],
    "actions_count": 12,
    "summary": "Ticket resolved; PR merged; customer notified"
  }'
}

reviews() {
curl $GATEWAY_URL/v1/passports/reviews?status=flagged \
  -H "Authorization: Bearer $STACK_API_KEY"
}

decide() {
curl -X POST $GATEWAY_URL/v1/passports/reviews/$REVIEW/decide \
  -H "Authorization: Bearer $STACK_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{ "decision": "approved", "notes": "Notion use was ancillary; accept" }'
}

audit() {
curl "$GATEWAY_URL/v1/audit/export?from=$FROM&to=$TO" \
  -H "Authorization: Bearer $STACK_API_KEY" \
  | jq '.rows[] | select(.passport_jti == "'"$JTI"'")'
}

"$1"
