#!/usr/bin/env bash
# Renders the chart with a real helm and checks every object with kubeconform,
# then breaks it on purpose and expects both to notice.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$(tests/cluster/build.sh)
chart=charts/vernescale
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

module() { (cd tests/cluster/controlplane && go list -m -f '{{.Dir}}' "$1"); }
openapi=$(module k8s.io/kubernetes)/api/openapi-spec/swagger.json
operator=$(cd "$work" && go mod download -json github.com/prometheus-operator/prometheus-operator@v0.85.0 | jq -r .Dir)
python3 tests/chart/schemas.py "$openapi" "$work/schemas" \
    "$operator/example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml" \
    $chart/crds/vernemqautoscalers.yaml

check() { "$bin/kubeconform" -strict -summary -schema-location "$work/schemas/{{.ResourceKind}}{{.KindSuffix}}.json" "$@"; }
render() { "$bin/helm" template vernescale $chart --namespace mqtt --include-crds --kube-version 1.35.4 "$@"; }
failed=0
passed=0
expect() { # expect ok|refused NAME COMMAND...
    local want=$1 name=$2 got=ok
    shift 2
    "$@" >"$work/out" 2>&1 || got=refused
    if [ "$got" = "$want" ]; then
        passed=$((passed + 1)) && echo "ok: $name"
    else
        failed=$((failed + 1)) && echo "FAILED: $name: expected $want, was $got" && cat "$work/out"
    fi
}
has() { grep -qF -- "$2" "$1"; }
lacks() { ! has "$@"; }

expect ok "helm lint --strict" "$bin/helm" lint --strict $chart
render >"$work/default.yaml"
render --set serviceMonitor.enabled=true --set serviceMonitor.labels.release=prometheus \
    --set exporter.username=metrics --set exporter.passwordSecret=mqtt --set controller.allowExec=true \
    --set 'controller.managementSecrets={vernemq-mgmt}' >"$work/full.yaml"
expect ok "defaults are valid objects" check "$work/default.yaml"
expect ok "everything switched on is valid objects" check "$work/full.yaml"
expect ok "the ServiceMonitor honours our labels" has "$work/full.yaml" "honorLabels: true"
expect ok "no ServiceMonitor unless asked for" lacks "$work/default.yaml" "kind: ServiceMonitor"
expect ok "no right to exec unless asked for" lacks "$work/default.yaml" "pods/exec"
expect ok "no right to secrets unless named" lacks "$work/default.yaml" "secrets"
expect ok "namespaced rights only" lacks "$work/full.yaml" "kind: ClusterRole"
expect ok "the exporter is given no token" has "$work/default.yaml" "automountServiceAccountToken: false"
expect ok "the password is a file" has "$work/full.yaml" "--password-file=/etc/vernescale/mqtt/password"
expect ok "the service is on 8888" has "$work/default.yaml" "port: 8888"
expect ok "the log level is a variable that we read" has "$work/default.yaml" "name: VERNESCALE_LOG"
expect ok "the custom resource is installed" has "$work/default.yaml" "name: vernemqautoscalers.vernescale.dev"
expect refused "a misspelt value" render --set exporter.brokers=mqtt://x:1883
expect refused "a password in the URL" render --set exporter.broker=mqtt://me:secret@x:1883
sed 's/honorLabels/honourLabels/' "$work/full.yaml" >"$work/typo.yaml"
expect refused "a misspelt field" check "$work/typo.yaml"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
