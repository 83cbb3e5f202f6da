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

(
    cd etcd
    rm -f go.mod go.sum
    cat >go.mod <<MOD
// Builds etcd for the tests and the demo. See ../README.md.
module tidegate.io/testservers/etcd

go $GO.0
MOD
    go get -tool "go.etcd.io/etcd/server/v3@$ETCD"
)

(
    cd helm
    rm -f go.mod go.sum
    cat >go.mod <<MOD
// Builds helm for the tests of the chart. See ../README.md.
module tidegate.io/testservers/helm

go $GO.0
MOD
    go get -tool "helm.sh/helm/v3/cmd/helm@$HELM"
)

# FerretDB as a program of its own panics for want of a file that only its own build makes; embedded it runs.
(
    cd ferretdb
    rm -f go.mod go.sum
    cat >go.mod <<MOD
// Builds a server of the MongoDB protocol (FerretDB on SQLite) for the tests and the demo. See ../README.md.
module tidegate.io/testservers/ferretdb

go $GO.0
MOD
    go get "github.com/FerretDB/FerretDB/ferretdb@$FERRETDB"
    go mod tidy
)

# k8s.io/kubernetes requires its staging modules at v0.0.0, which only a replace can satisfy.
(
    cd kubernetes
    rm -f go.mod go.sum
    {
        cat <<MOD
// Builds kube-apiserver and kube-controller-manager for the tests and the demo. See ../README.md.
module tidegate.io/testservers/kubernetes

go $GO.0

godebug default=go$GO

replace (
MOD
        for module in api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider \
            cluster-bootstrap code-generator component-base component-helpers controller-manager cri-api cri-client \
            cri-streaming csi-translation-lib dynamic-resource-allocation endpointslice externaljwt kms \
            kube-aggregator kube-controller-manager kube-proxy kube-scheduler kubectl kubelet metrics mount-utils \
            pod-security-admission sample-apiserver sample-cli-plugin sample-controller streaming; do
            echo "	k8s.io/$module => k8s.io/$module $STAGING"
        done
        echo ")"
    } >go.mod
    go get -tool "k8s.io/kubernetes/cmd/kube-apiserver@$KUBERNETES" \
        "k8s.io/kubernetes/cmd/kube-controller-manager@$KUBERNETES"
)
