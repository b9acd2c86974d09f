#!/usr/bin/env bash
# Builds etcd, kube-apiserver, kube-controller-manager, kubectl, a kubelet for exec, helm and
# kubeconform from their Go modules and prints the folder they are in.
# Keyed by what they are built from: a second call costs a second.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/controlplane" && pwd)
command -v go >/dev/null || { echo "build.sh: Go is not installed; install Go 1.26" >&2; exit 3; }

key=$( (cd "$here" && cat go.mod go.sum *.go; go version) | sha256sum | cut -c1-16)
cache=${VERNESCALE_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/vernescale}
bin=$cache/controlplane-$key
if [ ! -e "$bin/complete" ]; then
    echo "building the control plane into $bin (4 to 8 minutes on two cores, once)" >&2
    version=v1.35.4
    mkdir -p "$bin"
    cd "$here"
    CGO_ENABLED=0 go build -trimpath -o "$bin/" \
        -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=35" \
        . go.etcd.io/etcd/server/v3 helm.sh/helm/v3/cmd/helm github.com/yannh/kubeconform/cmd/kubeconform >&2
    mv -f "$bin/v3" "$bin/etcd" 2>/dev/null || mv -f "$bin/server" "$bin/etcd"
    touch "$bin/complete"
fi
echo "$bin"
