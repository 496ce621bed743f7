{{- define "nexus.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "nexus.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "nexus.labels" -}}
{{ include "nexus.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "nexus.sourcesSecret" -}}
{{ .Values.sources.existingSecret | default (printf "%s-sources" (include "nexus.name" .)) }}
{{- end -}}

{{/* What the chart decides wins over `config`. */}}
{{- define "nexus.config" -}}
{{- $port := ternary "8443" "8080" (ne .Values.tls.existingSecret "") -}}
{{- $http := dict "listen" (printf "0.0.0.0:%s" $port) -}}
{{- if .Values.tls.existingSecret -}}
{{- $_ := set $http "tls" (dict "cert" "/etc/nexus-tls/tls.crt" "key" "/etc/nexus-tls/tls.key") -}}
{{- end -}}
{{- $own := dict "dataDir" "/var/lib/nexus" "sourcesFile" "/etc/nexus-sources/sources.yaml" "http" $http -}}
{{- if .Values.store.url -}}
{{- $_ := set $own "store" (dict "url" .Values.store.url) -}}
{{- end -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $own) -}}
{{- end -}}
