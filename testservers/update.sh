#!/bin/sh
# Writes go.mod and go.sum of the modules anew. Only needed to move to another version; see README.md.
set -eu
cd "$(dirname "$0")"

ETCD=v3.6.16
KUBERNETES=v1.36.3
HELM=v3.22.0
STAGING=v0.36.3 # the same release: v1.X.Y is v0.X.Y for the staging modules
FERRETDB=v1.24.2
GO=1.26

export GOFLAGS=-mod=mod

# begin FOLDER WHAT: goes to the module's folder and starts its go.mod; what else belongs there comes from standard input.
begin() {
    cd "$1"
    rm -f go.mod go.sum
    {
        cat <<MOD
// Builds $2. See ../README.md.
module tidegate.io/testservers/$1

go $GO.0
MOD
        cat
    } >go.mod
}

(
    begin etcd "etcd for the tests and the demo" </dev/null
    go get -tool "go.etcd.io/etcd/server/v3@$ETCD"
)

(
    begin helm "helm for the tests of the chart" </dev/null
    go get -tool "helm.sh/helm/v3/cmd/helm@$HELM"
)

# FerretDB as a program of its own panics for want of a file that only its own build makes; embedded it runs.
(
    begin ferretdb "a server of the MongoDB protocol (FerretDB on SQLite) for the tests and the demo" </dev/null
    go get "github.com/FerretDB/FerretDB/ferretdb@$FERRETDB"
    go mod tidy
)

# k8s.io/kubernetes requires its staging modules at v0.0.0, which only a replace can satisfy.
replacements() {
    printf '\ngodebug default=go%s\n\nreplace (\n' "$GO"
    for module in api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider \
        cluster-bootstrap code-generator component-base component-helpers controller-manager cri-api cri-client \
        cri-streaming csi-translation-lib dynamic-resource-allocation endpointslice externaljwt kms \
        kube-aggregator kube-controller-manager kube-proxy kube-scheduler kubectl kubelet metrics mount-utils \
        pod-security-admission sample-apiserver sample-cli-plugin sample-controller streaming; do
        echo "	k8s.io/$module => k8s.io/$module $STAGING"
    done
    echo ")"
}

(
    replacements >kubernetes/replacements
    begin kubernetes "kube-apiserver and kube-controller-manager for the tests and the demo" <kubernetes/replacements
    rm -f replacements
    go get -tool "k8s.io/kubernetes/cmd/kube-apiserver@$KUBERNETES" \
        "k8s.io/kubernetes/cmd/kube-controller-manager@$KUBERNETES"
)
