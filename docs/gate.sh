#!/bin/sh
# Waits for the outcome of a mission, so that a pipeline goes on only with work that was accepted.
#
#   gate.sh PASSPORT | checkout/NAME [-n NAMESPACE] [--timeout SECONDS] [--wait-for-review]
#
# It asks with kubectl, as whoever the kubeconfig says, and needs `get` on passports and checkouts. One line
# on standard output says what happened and what to do. The exit code:
#
#    0  accepted: the verdict is Clean, or a reviewer approved
#    1  kubectl could not ask: no rights, no API server, no kubectl
#    2  not accepted, for good: blocked by a reviewer, never issued, or a Checkout that does not count
#    3  a reviewer has to decide; with --wait-for-review, nobody did within the timeout
#    4  nothing came within the timeout (300 s), or there is no such Passport or Checkout
#   64  the arguments are wrong
set -eu

usage='usage: gate.sh PASSPORT | checkout/NAME [-n NAMESPACE] [--timeout SECONDS] [--wait-for-review]'

misused() {
  printf 'gate: %s\n%s\n' "$1" "$usage" >&2
  exit 64
}

# conclude CODE TEXT says it on one line, whatever is in the messages that it quotes, and ends.
conclude() {
  printf 'gate: %s\n' "$(printf %s "$2" | LC_ALL=C tr '[:cntrl:]' ' ')"
  exit "$1"
}

# get KIND ARGUMENTS asks the API server, for ten seconds at most.
get() {
  kind=$1
  shift
  kubectl get "$kind.agentpassport.dev" ${namespace:+"--namespace=$namespace"} --request-timeout=10s "$@" </dev/null
}

# ask KIND NAME JSONPATH sets answer, which is empty where there is no such object. The first question about
# a kind has to be answered. Later ones are asked again until the timeout: a connection may be lost.
answered=''
ask() {
  if answer=$(get "$1" "$2" --ignore-not-found --output="jsonpath=$3"); then
    answered="$answered $1"
    return 0
  fi
  case "$answered " in
    *" $1 "*) return 1 ;;
  esac
  printf 'gate: kubectl could not read %s %s (see above): the gate needs get on passports and checkouts, %s\n' \
    "$1" "$2" 'which the ClusterRoles agent-passport-agent and agent-passport-viewer give' >&2
  exit 1
}

# look_at_passport ends where no Checkout will come, and learns its name where there is one. The namespace is
# never empty: it keeps the lines before it in the answer.
look_at_passport() {
  ask passports "$passport" '{.status.phase}{"\n"}{.status.issued.mode}{"\n"}{.status.checkout.name}{"\n"}{.status.conditions[?(@.type=="Ready")].reason}{.status.conditions[?(@.type=="Succeeded")].reason}{"\n"}{.metadata.namespace}{"\n"}{.status.conditions[?(@.type=="Ready")].message}{.status.conditions[?(@.type=="Succeeded")].message}' ||
    return 0
  if [ -z "$answer" ]; then
    conclude 4 "there is no passport $passport${namespace:+ in namespace $namespace}: it was never created, or it was deleted. If its Checkout is still there, ask for that: gate.sh checkout/NAME"
  fi
  {
    IFS= read -r phase
    IFS= read -r mode
    IFS= read -r checkout
    IFS= read -r reason
    IFS= read -r place
    message=$(cat)
  } <<ANSWER
$answer
ANSWER
  this="passport $passport in namespace $place"
  if [ "$phase" = Rejected ]; then
    conclude 2 "$this was never issued ($reason: $message): mend that, and create another Passport"
  fi
  if [ "$mode" = Standard ]; then
    conclude 2 "$this is in mode Standard, which has no checkout and no verdict: a mission with a gate needs Enforced or Logged"
  fi
  so_far="$this is ${phase:-not seen by the operator yet}${reason:+ ($reason: $message)}, and nobody checked out. See: kubectl describe passports.agentpassport.dev $passport -n $place"
}

# look_at_checkout ends where the Checkout says how the mission came out.
look_at_checkout() {
  ask checkouts "$checkout" '{.spec.passportRef.name}{"\n"}{.spec.outcome}{"\n"}{.status.verdict}{"\n"}{.status.flags[*].type}{"\n"}{.spec.review.decision}{"\n"}{.status.conditions[?(@.type=="Accepted")].status}{"\n"}{.status.conditions[?(@.type=="Stalled")].status}{"\n"}{.status.conditions[?(@.type=="Stalled")].reason}{"\n"}{.metadata.namespace}{"\n"}{.status.conditions[?(@.type=="Accepted")].message}' ||
    return 0
  if [ -z "$answer" ]; then
    conclude 4 "there is no checkout $checkout${namespace:+ in namespace $namespace}: it was never created, or it was deleted"
  fi
  {
    IFS= read -r mission
    IFS= read -r outcome
    IFS= read -r verdict
    IFS= read -r flags
    IFS= read -r decision
    IFS= read -r accepted
    IFS= read -r stalled
    IFS= read -r reason
    IFS= read -r place
    message=$(cat)
  } <<ANSWER
$answer
ANSWER
  this="checkout $checkout ($outcome) of passport $mission in namespace $place"
  flags=$(printf '%s\n' "$flags" | awk '{ for (i = 1; i <= NF; i++) if (!seen[$i]++) { printf "%s%s", comma, $i; comma = ", " } }')
  found="verdict $verdict${flags:+, flags: $flags}"
  if [ "$stalled" = True ]; then
    conclude 2 "$this does not count ($reason): $message"
  fi
  case $accepted in
    True) conclude 0 "accepted: $this: $found: $message" ;;
    False) conclude 2 "not accepted: $this: $found: $message" ;;
  esac
  if [ -z "$verdict" ]; then
    so_far="$this has no verdict: it comes when the mission is over. See: kubectl describe passports.agentpassport.dev $mission -n $place"
    return 0
  fi
  none=3
  so_far="awaiting review: $this: $found. Read it: kubectl get checkouts.agentpassport.dev $checkout -n $place -o yaml. Then somebody who had no part in it decides: kubectl patch checkouts.agentpassport.dev $checkout -n $place --type=merge -p '{\"spec\":{\"review\":{\"decision\":\"Approved\",\"notes\":\"...\"}}}', or \"Blocked\""
  if [ -n "$decision" ]; then
    so_far="$this: $found: a reviewer decided $decision, and the operator has not carried it out yet"
  elif [ -z "$patient" ]; then
    conclude 3 "$so_far"
  fi
}

# without_effect lists the Checkouts that name the Passport and do not count.
without_effect() {
  get checkouts --field-selector="spec.passportRef.name=$passport" \
    --output='jsonpath={range .items[*]}{.metadata.name}{" "}{.status.conditions[?(@.type=="Stalled")].reason}{"\n"}{end}' |
    awk 'NF == 2 { printf "%s%s (%s)", comma, $1, $2; comma = ", " }'
}

target='' namespace='' timeout=300 patient=''
while [ $# -gt 0 ]; do
  case $1 in
    -n | --namespace | --timeout)
      # An unset variable must not lead to the namespace of the kubeconfig.
      [ -n "${2-}" ] || misused "$1 needs a value"
      case $1 in
        --timeout) timeout=$2 ;;
        *) namespace=$2 ;;
      esac
      shift
      ;;
    --namespace=?*) namespace=${1#*=} ;;
    --timeout=?*) timeout=${1#*=} ;;
    --wait-for-review) patient=yes ;;
    -*) misused "there is no option $1, or its value is missing" ;;
    *)
      [ -z "$target" ] || misused "one mission at a time, not $target and $1"
      target=$1
      ;;
  esac
  shift
done
case $timeout in
  *[!0-9]* | 0?* | ????????*) misused "--timeout $timeout: want whole seconds, such as 300" ;;
esac
passport='' checkout=''
case $target in
  passport/* | passports/* | passport.agentpassport.dev/* | passports.agentpassport.dev/*) passport=${target#*/} ;;
  checkout/* | checkouts/* | checkout.agentpassport.dev/* | checkouts.agentpassport.dev/*) checkout=${target#*/} ;;
  *) passport=$target ;;
esac
case $passport$checkout in
  '') misused 'which mission? Name its Passport, or checkout/NAME' ;;
  *[!a-z0-9.-]* | [!a-z0-9]*) misused "$target is neither the name of a Passport nor checkout/NAME" ;;
esac

none=4 so_far=''
deadline=$(($(date +%s) + timeout))
while :; do
  if [ -z "$checkout" ]; then look_at_passport; fi
  if [ -n "$checkout" ]; then look_at_checkout; fi
  left=$((deadline - $(date +%s)))
  [ "$left" -gt 0 ] || break
  sleep "$((left < 2 ? left : 2))"
done
others=''
if [ -z "$checkout" ]; then others=$(without_effect) || others=''; fi
conclude "$none" "no decision within $timeout s: $so_far${others:+. These Checkouts do not count: $others}"
