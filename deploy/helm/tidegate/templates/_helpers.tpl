{{/* The name of every object: the release's, with "tidegate" in it. At most 40 characters: pods get a suffix of 17,
     and the Lease of a replica is this name, a dash and the pod's. */}}
{{- define "tidegate.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What never changes between releases of one installation: selectors cannot be edited. */}}
{{- define "tidegate.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tidegate.labels" -}}
{{ include "tidegate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* tidegate.yaml: the values, with what has to agree with the other objects filled in. */}}
{{- define "tidegate.config" -}}
{{- $lease := dict "namespace" .Release.Namespace "lease" (include "tidegate.fullname" .) -}}
{{- $api := dict "listen" (printf "0.0.0.0:%d" (int .Values.api.port)) -}}
{{- mergeOverwrite (deepCopy .Values.config) (dict "leaderElection" $lease "api" $api) | toYaml -}}
{{- end -}}

{{- define "tidegate.subject" -}}
- kind: ServiceAccount
  name: {{ include "tidegate.fullname" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
